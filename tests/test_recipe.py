"""training/recipe.py: recipes as data, what may be set in them, and errors that say what is allowed."""

from cnnbook import recipes, training
from cnnbook.training import Recipe, RecipeError, fit, recipe

import json

import keras
import pytest
import small_recipe
from small_recipe import QUICK, SMALL

RATE = "optimizer.learning_rate.initial_learning_rate"
SCHEDULE = {"of": "keras.optimizers.schedules.CosineDecay", "initial_learning_rate": 0.1, "decay_steps": "$steps"}


def test_a_recipe_is_what_json_can_say_and_comes_back_from_it():
    for one in (SMALL, *recipes.RECIPES.values()):
        text = json.dumps(one.plain(), allow_nan=False)
        assert Recipe.check(json.loads(text), "again") == one
        assert one.changed() == one


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_every_recipe_of_the_book_is_whole(name):
    one = recipes.RECIPES[name]
    assert one.name == name and one.description
    one.runner()  # its settings are checked
    assert one.steps % one.every == 0  # the last point of the curves stands behind a whole stretch
    assert one.paper is None or one.paper.source


@pytest.mark.parametrize("ending", ["yml", "yaml", "json"])
def test_a_file_of_ones_own(tmp_path, ending):
    path = tmp_path / f"mine.{ending}"
    plain = {key: value for key, value in SMALL.plain().items() if key != "name"}
    path.write_text(json.dumps(plain))  # JSON is YAML too
    assert recipe.read(path) == {"mine": SMALL.changed(name="mine")}
    path.write_text(json.dumps({"one": plain, "two": plain | {"steps": 3}}))
    assert {name: one.steps for name, one in recipe.read(path).items()} == {"one": 225, "two": 3}


def test_a_number_with_an_exponent_is_a_number(tmp_path):
    path = tmp_path / "mine.yml"
    path.write_text("steps: 3\nevery: 3\nsettings: {rate: 1e-3, other: -2E+3, name: e3}\n")
    assert recipe.read(path)["mine"].settings == {"rate": 0.001, "other": -2000.0, "name": "e3"}


def test_json_of_every_form_is_read(tmp_path):
    """Indented by tabs, behind a byte-order mark, with a character that JSON writes as two."""
    path = tmp_path / "mine.json"
    plain = {"steps": 3, "every": 3, "description": "a \N{DOG FACE}"}
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(plain, indent="\t").encode())
    assert recipe.read(path)["mine"].description == plain["description"]


def test_what_a_recipe_merges_may_be_written_over(tmp_path):
    path = tmp_path / "mine.yml"
    path.write_text("one: &one {steps: 3, every: 3, settings: &its {a: 1}}\n"
                    "two: {<<: *one, steps: 4, settings: {<<: *its, a: 2}}\n")  # fmt: skip
    assert [(one.steps, one.settings) for one in recipe.read(path).values()] == [(3, {"a": 1}), (4, {"a": 2})]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "cannot be read as a recipe"),
        ("steps: 3\nevery: 3\n\tseeds: [0]", r"cannot be read as a recipe: it is no YAML: (.|\n)*'.t'(.|\n)*line 3"),
        ("steps: 3\nevery: 3\nsteps: 4", "cannot be read as a recipe: steps stands twice in one mapping"),
        ('{"steps": 3, "every": 3, "settings": {"rate": 1, "rate": 2}}', "rate stands twice in one mapping"),
        ("one: {steps: 3, every: 3, name: two}", "one.name must be the name that the recipe stands under, got 'two'"),
        ("name: mine\nevery: 3", "^mine.steps is missing$"),
        ("", "must hold a mapping of names to values"),
        ("- 1", "must hold a mapping"),
        ("steps: 3\nevery: 3\nsettings: {day: 2026-01-01}", "must hold what JSON can say"),
        ("steps: 3\nevery: 3\nsettings: {rate: .nan}", "must hold what JSON can say"),
        ("steps: 3\nevery: 3\nsettings: {rate: !!python/name:os.system }", "cannot be read"),
        ("steps: 3", "^mine.every is missing$"),
        ("steps: 3\nevery: 3\nstep: 4", "mine.step is not known; allowed: name, description, .*Nearest: steps"),
        ("steps: 3\nevery: 3\npaper: {metric: a, value: 1, sauce: b}", "sauce is not known; allowed: metric, value"),
    ],
)
def test_a_file_that_is_no_recipe_is_named(tmp_path, text, words):
    path = tmp_path / "mine.yml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=words):
        recipe.read(path)
    with pytest.raises(RecipeError, match=r"absent.yml cannot be read"):
        recipe.read(tmp_path / "absent.yml")


@pytest.mark.parametrize("parts", [[1], "text", 3, True])
def test_a_named_recipe_that_is_no_mapping_is_refused(tmp_path, parts):
    path = tmp_path / "mine.yml"
    path.write_text(json.dumps({"one": parts}))
    with pytest.raises(RecipeError, match="one must be a mapping of names to values"):
        recipe.read(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"steps": 0}, "small.steps: input should be greater than or equal to 1, got 0"),
        ({"steps": True}, "small.steps: input should be a valid integer, got True"),
        ({"steps": 1.0}, "small.steps: .*integer, got 1.0"),
        ({"steps": "3"}, "small.steps: .*integer, got '3'"),
        ({"every": -1}, "small.every: .*got -1"),
        ({"seeds": []}, r"small.seeds: .*at least 1 item.*got \[\]"),
        ({"seeds": [-1]}, "small.seeds.0: .*greater than or equal to 0, got -1"),
        ({"seeds": [0, 2**32]}, f"small.seeds.1: .*less than {2**32}, got {2**32}"),
        ({"seeds": [1, 1]}, r"small.seeds must be different numbers, got \[1, 1\]"),
        ({"vary": [{}]}, "small needs as many entries in vary as seeds, got 1 and 2"),
        ({"name": "../above"}, "small.name: .*pattern.*got '../above'"),
        ({"name": ""}, "small.name: .*got ''"),
        ({"settings": []}, r"small.settings: .*dictionary, got \[\]"),
        ({"paper": {"metric": "a"}}, "small.paper.value is missing\nsmall.paper.source is missing"),
    ],
)
def test_impossible_parts_are_named_with_what_is_allowed(change, words):
    with pytest.raises(RecipeError, match=words):
        SMALL.changed(**change)


# What may be set ------------------------------------------------------------------------------------------------------


def test_settings_can_be_set_deep_inside():
    new = SMALL.with_settings({RATE: 0.1, "steps": 3, "every": 2, "augment.0.shift": 0.7, "data.hold_out": 10,
                               "settings.batch_size": 8, "network.rate": 0.0})  # fmt: skip
    assert (new.steps, new.every, new.data) == (3, 2, {"name": "digits", "hold_out": 10})
    s = new.settings
    assert s["optimizer"]["learning_rate"] == SCHEDULE
    assert s["augment"][0] == SMALL.settings["augment"][0] | {"shift": 0.7}
    assert s["batch_size"] == 8 and s["network"] == {"of": "small_recipe.network", "rate": 0.0}
    assert SMALL.steps == 225 and SMALL.settings["batch_size"] == 32  # the old one is as it was


def test_what_is_set_is_a_copy():
    given = {"of": "keras.optimizers.SGD", "learning_rate": 0.1}
    new = SMALL.with_settings({"optimizer": given, "optimizer.momentum": 0.9})
    assert given == {"of": "keras.optimizers.SGD", "learning_rate": 0.1}
    assert new.settings["optimizer"] == given | {"momentum": 0.9}


def test_a_bare_name_gets_its_first_argument():
    bare = SMALL.with_settings({"loss": "keras.losses.SparseCategoricalCrossentropy"})
    new = bare.with_settings({"loss.from_logits": True})
    assert new.settings["loss"] == {"of": "keras.losses.SparseCategoricalCrossentropy", "from_logits": True}
    own = SMALL.with_settings({"prepare": "small_recipe.dimmed", "prepare.factor": 0.5})
    assert own.settings["prepare"] == {"of": "small_recipe.dimmed", "factor": 0.5}  # a function of your own, too
    listed = SMALL.with_settings({"augment": ["cnnbook.data.augment.pad_crop"], "augment.0.pad": 2})
    assert listed.settings["augment"] == [{"of": "cnnbook.data.augment.pad_crop", "pad": 2}]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"batch_size.deep": 1}, "batch_size.deep cannot be set: settings.batch_size is 32"),
        ({"augment.1.shift": 1}, "augment.1.shift cannot be set: 1 must be a number from 0 to 0"),
        ({"augment.first": 1}, "augment.first cannot be set: first must be a number from 0 to 0"),
        ({"curves": ["loss"], "curves.0.name": "a"}, "curves.0.name cannot be set: settings.curves.0 is 'loss'"),
        ({"steps.deep": 1}, "steps.deep cannot be set: steps is 225"),
        ({"every": 1.5}, "small.every: .*got 1.5"),
    ],
)
def test_what_cannot_be_set_is_named(changes, words):
    with pytest.raises(RecipeError, match=words):
        SMALL.with_settings(changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"batchsize": 8}, "small.settings.batchsize is not known; allowed: network, loss, .*Nearest: batch_size"),
        ({"batch_size": 0}, "small.settings.batch_size: .*greater than or equal to 1, got 0"),
        ({"optimizer": 3}, "^small.settings.optimizer: .*string, got 3\nsmall.settings.optimizer: .*dictionary, got 3"),
        ({"batch_size": "8"}, "small.settings.batch_size: .*integer, got '8'"),
        ({"precision": "float8"}, "precision: .*'float32', 'mixed_bfloat16' or 'mixed_float16', got 'float8'"),
        ({"mix": {"of": "cnnbook.data.augment.mixup", "alpha": 1}}, "needs one_hot: true beside mix"),
        ({"augment": "cnnbook.data.augment.mirror"}, "small.settings.augment: .*tuple, got 'cnnbook"),
    ],
)
def test_settings_that_the_run_does_not_know_are_named(changes, words):
    with pytest.raises(RecipeError, match=words):
        SMALL.with_settings(changes).runner()


def test_settings_of_a_seed():
    varied = SMALL.changed(vary=[{"network.rate": 0.1}, {}])
    assert [varied.settings_of(seed)["network"]["rate"] for seed in (0, 1)] == [0.1, 0.3]
    assert SMALL.settings_of(7) == SMALL.plain()["settings"]
    with pytest.raises(RecipeError, match=r"small.settings.networks is not known"):
        SMALL.changed(vary=[{}, {"networks": 1}]).runner()


@pytest.mark.parametrize("name", ["cnnbook.training.fit.Fitt", "fit", "", "no.such.module", "cnnbook."])
def test_a_run_that_is_not_there_is_named(name):
    with pytest.raises(RecipeError, match=r"small.run must be the dotted name of something that can be import"):
        SMALL.changed(run=name).runner()


@pytest.mark.parametrize("name", ["math.pi", "keras.Model", "small_recipe.network"])
def test_a_run_that_cannot_train_is_named(name):
    with pytest.raises(RecipeError, match=rf"small.run must be a class that trains, .*; {name} has no Settings, val"):
        SMALL.changed(run=name).runner()


# What settings stand for ----------------------------------------------------------------------------------------------


def test_building_calls_deep_inside_first():
    made = recipe.build({"of": "keras.optimizers.SGD", "learning_rate": SCHEDULE, "momentum": 0.5}, "o", steps=12)
    assert isinstance(made, keras.optimizers.SGD) and made.momentum == 0.5
    schedule = keras.optimizers.schedules.deserialize(made.get_config()["learning_rate"])
    assert schedule.initial_learning_rate == 0.1 and schedule.decay_steps == 12
    assert isinstance(recipe.build("keras.optimizers.Adam", "optimizer"), keras.optimizers.Adam)
    assert recipe.build("small_recipe.network", "network").count_params() == small_recipe.network().count_params()
    assert recipe.build([1, {"a": "b"}, "$steps", "$other", None], "x", steps=3) == [1, {"a": "b"}, 3, "$other", None]


def test_a_function_gets_its_arguments():
    dim = recipe.function({"of": "small_recipe.dimmed", "factor": 0.5}, "prepare")
    assert dim(8) == 4.0
    assert recipe.function("small_recipe.dimmed", "prepare") is small_recipe.dimmed


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"of": "keras.optimizers.Sgd"}, "x must be the dotted name of something that can be imported, got 'keras.opt"),
        ({"of": "small_recipe.network", "rates": 1}, "x.rates is not known to small_recipe.network; allowed: rate"),
        ({"of": "small_recipe.network", "rate": 7}, "^x: "),
        ({"of": "keras.optimizers.SGD", "learning_rate": {"of": "keras.nothing"}}, "x.learning_rate must be the dot"),
        ({"of": 3}, "x must be a dotted name, or a mapping with one under `of`, got {'of': 3}"),
    ],
)
def test_what_cannot_be_built_is_named(value, words):
    with pytest.raises(RecipeError, match=words):
        recipe.build(value, "x")


@pytest.mark.parametrize("value", [3, None, [], {"off": "small_recipe.dimmed"}, {}, ""])
def test_what_is_no_function_is_named(value):
    with pytest.raises(RecipeError, match="x must be"):
        recipe.function(value, "x")


@pytest.mark.parametrize("name", ["small_recipe.SMALL", "small_recipe.SEED", "keras.optimizers", "cnnbook.__doc__"])
def test_what_cannot_be_called_is_named(name):
    for act in (recipe.function, recipe.build):
        with pytest.raises(RecipeError, match=r"x must be .*that can be called"):
            act({"of": name}, "x")


def test_every_setting_is_explained_and_words_are_no_part_of_what_a_record_must_agree_with():
    for name in fit.Settings.model_fields:
        assert f"    {name} " in fit.Settings.__doc__
    kept = training.record.depends_on(QUICK)
    assert kept == training.record.depends_on(QUICK.changed(description="other", departures="some", weights=True))
    assert kept.keys() == QUICK.plain().keys() - {"name", "description", "departures", "paper", "weights"}
    for change in ({"steps": 8}, {RATE: 1.0}, {"data.hold_out": 1}):
        assert kept != training.record.depends_on(QUICK.with_settings(change))
