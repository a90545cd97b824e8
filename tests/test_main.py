"""The command line: its output, its exit codes, and errors that name the argument, what was given, what is allowed."""

from cnnbook import __main__ as program
from cnnbook import data, models, recipes, training, weights

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest
from typer.testing import CliRunner

COMMANDS = ["list", "summary", "audit", "train", "show", "plot", "data list", "data fetch", "data check"]


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A folder of its own for each test, an empty cache in it, and lines too long to be broken."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CNNBOOK_DATA", raising=False)
    monkeypatch.setenv("CNNBOOK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "400")


def call(*words):
    """The command line in this process: (exit code, standard output, standard error)."""
    result = CliRunner().invoke(program.app, words, prog_name=program.PROGRAM)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def process(*words, code="from cnnbook import __main__; __main__.main()", **kwargs):
    """The command line in a process of its own."""
    kwargs = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | kwargs
    return subprocess.Popen([sys.executable, "-c", code, *words], **kwargs)


def softmax():
    """A softmax on the embedded digits, without its exponentials."""
    return keras.Sequential([keras.Input((8, 8)), keras.layers.Flatten(), keras.layers.Dense(10)])


def parts(**changes):
    """A recipe that takes seconds, as a file of one's own has it."""
    return {
        "description": "A softmax on the embedded digits", "data": {"name": "digits"},
        "settings": {
            "network": "test_main.softmax", "batch_size": 64, "loss": "test_main.criterion",
            "optimizer": {"of": "keras.optimizers.Adam", "learning_rate": 0.01},
        },
        "steps": 40, "every": 20, "seeds": [0, 1],
        "paper": {"metric": "test_error", "value": 0.05, "source": "Nobody2026"},
    } | changes  # fmt: skip


def criterion(labels, scores):
    return keras.losses.sparse_categorical_crossentropy(labels, scores, from_logits=True)


def tiny(**changes):
    return training.Recipe.check({"name": "tiny"} | parts(**changes), "tiny")


@pytest.fixture
def recipe(monkeypatch):
    monkeypatch.setitem(recipes.RECIPES, "tiny", tiny())


@pytest.fixture
def record(tmp_path):
    """A record of two seeds in records/, as a file; returns it."""
    curves = {"step": [10, 20], "loss": [2.0, 1.0], "test_error": [0.4, 0.25]}
    runs = [{"seed": s, "metrics": {"test_error": 0.25}, "history": dict(curves)} for s in (0, 1)]
    made = {"name": "made", "short": False, "runs": runs,
            "paper": {"metric": "test_error", "value": 0.125, "source": "Nobody2026"}}  # fmt: skip
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "made.json").write_text(json.dumps(made), encoding="utf-8")
    return made


# Help and usage -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples_that_parse(command):
    code, shown, _ = call(*command.split(), "--help")
    assert code == 0
    examples = re.findall(rf"{program.PROGRAM} ({command}.*?)\s*$", shown.split("Examples:")[1], flags=re.M)
    assert examples
    for example in examples:
        words = example.split()
        code, shown, errors = call(*words, "--help")
        assert code == 0, errors
        options = [w for w in words if w.startswith("--")]
        assert all(option in shown for option in options)


def test_the_program_without_a_command_shows_help():
    code, shown, errors = call()
    assert code == 2 and all(c.split()[0] in shown + errors for c in COMMANDS)


def test_version():
    import cnnbook

    assert call("--version") == (0, f"cnnbook {cnnbook.__version__}\n", "")


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["audit", "lenet"], ["'NAME'", "must be one of lenet1989, lenet5,", "got 'lenet'", "Nearest: lenet5"]),
        (["summary", "resnt"], ["'NAME'", "lenet5_dense", "got 'resnt'"]),
        (["train", "lenet5-mnits"], ["'RECIPE'", "committee-mnist", "got 'lenet5-mnits'", "Nearest: lenet5-mnist"]),
        (["train", "lenet5-mnist", "--seeds", "0,x"], ["'--seeds'", "numbers from 0", "such as 0,1,2", "got '0,x'"]),
        (["train", "lenet5-mnist", "--seeds", "1,01"], ["'--seeds'", "different", "got '1,01'"]),
        (["train", "lenet5-mnist", "--seeds", str(2**32)], ["'--seeds'", "2**32 - 1", "got '4294967296'"]),
        (["train", "lenet5-mnist", "--seeds="], ["'--seeds'", "such as 0,1,2", "got ''"]),
        (["train", "lenet5-mnist", "--steps", "0"], ["'--steps'", "at least 1", "got '0'"]),
        (["train", "lenet5-mnist", "--steps", "9" * 5000], ["'--steps'", "at least 1"]),
        (["train", "lenet5-mnist", "--seeds", "9" * 5000], ["'--seeds'", "2**32 - 1"]),
        (["train", "lenet5-mnist", "--steps", "many"], ["'--steps'", "at least 1", "got 'many'"]),
        (["train", "lenet5-mnist", "--workers", "0"], ["'--workers'", "at least 1", "got '0'"]),
        (["train", "lenet5-mnist", "--resume", "--fresh"], ["--resume", "--fresh", "one of them"]),
        (["train", "lenet5-mnist", "--epochs", "2"], ["'--epochs'", "use --steps", "show RECIPE"]),
        (["train", "lenet5-mnist", "--folder", "x"], ["'--folder'", "use --out"]),
        (["train", "committee-mnist", "--seeds", "0,1,7"], ["among [0, 1, 2, 3, 4, 5, 6]", "got [0, 1, 7]"]),
        (["train", "lenet5-mnist", "--set", "batch_size"], ["'--set'", "must be key=value", "got 'batch_size'"]),
        (["train", "lenet5-mnist", "--set", "=3"], ["'--set'", "must be key=value", "got '=3'"]),
        (["train", "lenet5-mnist", "--set", "x=[1"], ["'--set'", "x=[1: it is no YAML"]),
        (["train", "lenet5-mnist", "--set", "x=.nan"], ["'--set'", "x=.nan: it must hold what JSON can say"]),
        (["train", "lenet5-mnist", "--set", "x=1", "--set", "x=2"], ["'--set'", "must give x once"]),
        (["train", "lenet5-mnist", "--set", "bach_size=1"], ["settings.bach_size is not known; allowed: network, loss,",
                                                             "Nearest: batch_size"]),
        (["train", "lenet5-mnist", "--set", "batch_size=0"], ["settings.batch_size", "equal to 1, got 0"]),
        (["train", "lenet5-mnist", "--set", "data.name=mnits"], ["data", "one of digits, mnist,", "'mnits'"]),
        (["train", "tiny", "--set", "optimizer.lerning_rate=0.1"],
         ["settings.optimizer", "lerning_rate", "allowed: learning_rate, beta_1", "Nearest: learning_rate"]),
        (["train", "tiny", "--precision", "half"], ["settings.precision", "'mixed_bfloat16'", "got 'half'"]),
        (["train", "tiny", "--precision", "float32", "--set", "precision=float32"], ["--precision", "one of them"]),
        (["train", "dbn-mnist-backprop", "--steps", "10800"], ["at least 10801, got 10800", "3 machines"]),
        (["train", "dbn-mnist", "--steps", "59", "--fresh"], ["at least 36000, got 59"]),
        (["train", "mine.yml"], ["'RECIPE'", "mine.yml cannot be read", "No such file"]),
        (["train", "tiny", "--set", "data.hold_out=2000"], ["tiny.data: count must be", "from 1 to 1,436, got 2000"]),
        (["train", "tiny", "--set", "loss.of=3"], ["settings.loss must be a dotted name, or a mapping", "{'of': 3}"]),
        (["train", "tiny", "--steps", "3", "--set", "steps=4"], ["steps must be given once, got 3 and", "4"]),
        (["train", "tiny", "--set", "augment=[3]", "--set", "augment.0.pad=1"], ["augment.0.pad cannot be set"]),
        (["show", "lenet5-mnits"], ["'RECIPE'", "got 'lenet5-mnits'", "Nearest: lenet5-mnist"]),
        (["show", "tiny", "--set", "optimizer.lerning_rate=0.1"], ["settings.optimizer", "Nearest: learning_rate"]),
        (["show", "tiny", "--set", "data.name=mnits"], ["data", "one of digits, mnist,", "'mnits'"]),
        (["plot"], ["RECORD"]),
        (["plot", "lenet5-mnist", "--out", "curves.txt"], ["'--out'", "must end in .png or .svg, got 'curves.txt'"]),
        (["data", "fetch", "mnits"], ["'NAME", "must be one of digits, mnist,", "got 'mnits'", "Nearest: mnist"]),
        (["data", "fetch", "digits", "mnits"], ["got 'mnits'"]),
        (["data", "fetch"], ["NAME"]),
        (["data", "check", "mnits"], ["got 'mnits'", "Nearest: mnist"]),
        (["lsit"], ["lsit"]),
        (["list", "--plian"], ["--plian"]),
    ],
)
def test_wrong_use_names_argument_given_and_allowed(words, parts, recipe):
    code, shown, errors = call(*words)
    assert (code, shown) == (2, "")
    assert all(part in errors for part in parts), errors


# Networks -------------------------------------------------------------------------------------------------------------


def test_list_plain_is_the_names_one_a_line():
    assert call("list", "--plain") == (0, "\n".join(models.NETWORKS) + "\n", "")


def test_list_shows_networks_and_recipes():
    code, shown, errors = call("list")
    assert (code, errors) == (0, "")
    assert all(name in shown for name in (*models.NETWORKS, *recipes.RECIPES))
    assert all(r.description in shown for r in recipes.RECIPES.values())
    assert shown.count("ReLU and dropout; it won ILSVRC") == 1 and "partial" not in shown  # once for all of a paper


def test_summary():
    code, shown, errors = call("summary", "lenet5_dense")
    assert (code, errors) == (0, "") and "61,706" in shown


def test_audit_of_a_large_network_keeps_its_numbers_whole():
    code, shown, errors = call("audit", "vgg11")
    assert (code, errors) == (0, "") and "132,863,336" in shown and "7,609,090,048" in shown


def test_audit_prints_a_table_beside_the_paper():
    code, shown, errors = call("audit", "lenet5")
    assert (code, errors) == (0, "")
    assert "60,840" in shown and "LeCun et al. 1998" in shown and "340,908" in shown


@pytest.mark.parametrize("name", ["lenet1989", "lenet5", "googlenet_aux", "kimcnn_static", "unet"])
def test_audit_json(name):
    code, shown, errors = call("audit", name, "--json")
    assert (code, errors) == (0, "")
    found = json.loads(shown)
    assert {"name", "trainable", "parameters", "macs", "layers"} <= set(found)
    assert found["name"] == name
    assert found["parameters"] == models.NETWORKS[name]().count_params()


def test_convert_writes_a_network_with_their_weights(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    out = tmp_path / "net.weights.h5"
    code, shown, errors = call("convert", "mobilenet_v2", "~/net.weights.h5", "--weights", "none")
    assert (code, errors) == (0, "") and out.stat().st_size > 10_000_000
    assert "3,538,984 weights" in shown and "weights.preprocess('mobilenet_v2', pixels)" in shown


def test_a_tilde_before_weights_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "their.h5").touch()
    given = []
    theirs = lambda weights, **_: given.append(weights) or keras.Sequential()
    monkeypatch.setitem(weights.MAPS, "mobilenet_v2", (theirs, *weights.MAPS["mobilenet_v2"][1:]))
    code, _, errors = call("convert", "mobilenet_v2", "net.keras", "--weights", "~/their.h5")
    assert code == 1 and "theirs must have the layer" in errors  # it is read, and is a network without layers
    assert given == [str(tmp_path / "their.h5")]


@pytest.mark.parametrize(("arguments", "code", "told"), [
    (("mobilenet_v2", "net.txt"), 2, "path must end in .keras or .weights.h5, got 'net.txt'"),
    (("mobilenet_v2", "net.keras", "--weights", "missing.h5"), 2, '"imagenet", "none" or a file, got \'missing.h5\''),
    (("mobilenet_v2", "net.keras", "--weights", "None"), 2, '"imagenet", "none" or a file, got \'None\''),
    (("resnet18", "net.keras"), 2, "Nearest: resnet"),
])  # fmt: skip
def test_convert_says_what_is_wrong(arguments, code, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found, _, errors = call("convert", *arguments)
    assert found == code and told in " ".join(errors.split())
    assert not list(tmp_path.iterdir())


# Training -------------------------------------------------------------------------------------------------------------


def test_train_writes_the_record_and_says_what_was_reached(recipe, tmp_path):
    code, shown, errors = call("train", "tiny")
    assert code == 0, errors
    path = tmp_path / "records" / "tiny.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    assert [run["seed"] for run in record["runs"]] == [0, 1] and record["short"] is False
    reached = [run["metrics"]["test_error"] for run in record["runs"]]
    mean, low, high = np.mean(reached), min(reached), max(reached)
    assert f"tiny: test_error {mean:.4f} (mean of 2 seeds, {low:.4f} to {high:.4f})" in shown
    assert "the paper: test_error 0.0500 (Nobody2026)" in shown and f"Record: {Path('records/tiny.json')}" in shown

    code, _, errors = call("train", "tiny")  # checkpoints are in the way
    assert code == 1 and "--resume" in errors and "--fresh" in errors
    assert call("train", "tiny", "--resume", "--quiet")[0] == 0
    assert json.loads(path.read_text(encoding="utf-8"))["runs"] == record["runs"]
    assert call("train", "tiny", "--fresh", "--quiet")[0] == 0


def test_options_reach_the_training(recipe, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    code, shown, errors = call(
        "train", "tiny", "--seeds", "3, 2", "--steps", "30", "--set", "batch_size=32", "--set",
        "optimizer.learning_rate=1e-3", "--validate", "--quiet", "--out", "~/elsewhere", "--precision", "mixed_bfloat16"
    )  # fmt: skip
    assert (code, errors) == (0, "")
    (path,) = (tmp_path / "elsewhere").glob("*/record.json")
    record = json.loads(path.read_text(encoding="utf-8"))
    assert [run["seed"] for run in record["runs"]] == [3, 2] and record["short"] is True
    assert all(run["history"]["step"] == [20, 30] for run in record["runs"]) and record["recipe"]["steps"] == 30
    settings = record["recipe"]["settings"]
    assert (settings["batch_size"], settings["precision"]) == (32, "mixed_bfloat16")
    assert settings["optimizer"]["learning_rate"] == 0.001
    assert "training images only" in record["data"]["split"]
    assert "a short run" in shown and not (tmp_path / "records").exists()
    assert call("train", "tiny", "--quiet", "--records", "~/all")[0] == 0
    assert training.read_record("tiny", "~/all")["short"] is False and not (tmp_path / "~").exists()


def test_a_committee_is_reported():
    record = {"name": "c", "short": False, "paper": {}, "runs": [{"metrics": {"test_error": 0.25}}],
              "committee": {"members": 1, "metrics": {"test_error": 0.125}}}  # fmt: skip
    assert program._outcome(record) == "c: test_error 0.2500; test_error 0.1250 as a committee"


def test_damaged_files_are_counted():
    runs = [{"metrics": {"test_error": 0.25}, "damaged": damaged} for damaged in (["a", "b"], ["b"])]
    record = {"name": "d", "short": False, "paper": {}, "runs": runs}
    assert program._outcome(record).endswith("; 2 damaged files were left out, which the record names")


def test_training_that_fails_ends_with_its_message(recipe, tmp_path):
    (tmp_path / "runs").write_text("a file in the folder's place")
    code, _, errors = call("train", "tiny")
    assert code == 1 and errors.startswith("Error: ") and "runs" in errors


def test_data_that_is_missing_ends_training_with_its_message(monkeypatch):
    monkeypatch.setenv("CNNBOOK_DATA", "nowhere")
    code, _, errors = call("train", "lenet5-mnist")
    assert code == 1 and errors.startswith("Error: CNNBOOK_DATA must name a folder")


def test_a_backend_that_is_none_is_named(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "bogus")
    shown, errors = process("list").communicate(timeout=180)
    assert shown == "" and errors.splitlines()[-1].startswith("Error: KERAS_BACKEND must be tensorflow, jax or torch")


def test_a_module_that_is_missing_is_no_backends_fault(monkeypatch):
    monkeypatch.setitem(sys.modules, "cnnbook.recipes", None)
    with pytest.raises(ImportError, match=r"cnnbook\.recipes"):
        call("show", "lenet5-mnist")


def test_a_terminal_without_the_sign_of_a_size_shows_the_table(monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    shown, errors = process("audit", "lenet5").communicate(timeout=180)
    assert "28?28?6" in shown and errors == ""


@pytest.mark.parametrize(("number", "by", "code"), [(signal.SIGINT, "Ctrl-C", 130), (signal.SIGTERM, "SIGTERM", 143)])
def test_a_signal_ends_training_with_one_line(number, by, code, tmp_path):
    program = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from cnnbook import backend, __main__, recipes; from cnnbook.training import run; import test_main\n"
        "run.AT_LEAST = 0\n"
        "recipes.RECIPES['tiny'] = test_main.tiny(steps=10_000_000); __main__.main()"
    )
    training = process("train", "tiny", "--seeds", "0", "--quiet", code=program)
    until = time.monotonic() + 120
    while not list(tmp_path.glob("runs/*/seed-0/step-*.npz")) and time.monotonic() < until:
        assert training.poll() is None, training.stderr.read()
        time.sleep(0.1)
    training.send_signal(number)
    shown, errors = training.communicate(timeout=180)
    assert training.returncode == code
    assert errors.splitlines() == [
        f"Stopped by {by}. Where it stood is kept in runs: the same with --resume goes on."
    ]
    newest = max(tmp_path.glob("runs/*/seed-0/step-*.npz"))
    with np.load(newest) as checkpoint:
        assert json.loads(str(checkpoint["note"]))["step"] == int(newest.stem.removeprefix("step-")) >= 20
    assert shown == "" and {p.suffix for p in newest.parent.iterdir()} <= {".npz", ""}  # the lock has no ending


def test_a_file_of_ones_own_is_trained(tmp_path):
    one = tmp_path / "elsewhere" / "one.yml"
    one.parent.mkdir()
    (one.parent / "beside_it.py").write_text("from test_main import softmax as mine", encoding="utf-8")
    own = parts(seeds=[5])
    own["settings"] |= {"network": "beside_it.mine"}
    one.write_text(json.dumps({"first": own, "second": parts(seeds=[6])}), encoding="utf-8")
    code, _, errors = call("train", f"{one}:first", "--quiet")
    assert (code, errors) == (0, "")
    made = training.read_record("first", "records")
    assert [run["seed"] for run in made["runs"]] == [5]
    assert made["command"] == f"python -m cnnbook train {one}:first"
    assert call(*made["command"].split()[3:], "--resume", "--quiet")[0] == 0  # it is a command that makes the record
    one.write_text(json.dumps({"name": "third", **parts(seeds=[7])}), encoding="utf-8")
    assert call("show", str(one), "--json")[0] == 0
    assert json.loads(call("show", str(one), "--json")[1])["name"] == "third"


@pytest.mark.parametrize(("given", "content", "told"), [
    ("own.yml", {"a": 1}, "mapping"),
    ("own.yml", {"a": {"steps": 3}}, "a.every is missing"),
    ("own.yml", {"a": {"steps": 3, "every": 1, "stepps": 1}}, "a.stepps is not known; allowed: name,"),
    ("own.yml", {"a": {"steps": 3, "every": 1}, "b": {"steps": 3, "every": 1}}, "recipes: own.yml:a, own.yml:b"),
    ("own.yml:c", {"a": {"steps": 3, "every": 1}}, "must be one of a, got 'c'"),
    ("own.yml", {"lenet5-mnist": {"steps": 3, "every": 1}}, "lenet5-mnist is the name of a recipe of the book"),
    ("own.yml", {"mine": {"name": "lenet5-mnist", "steps": 3, "every": 1}}, "mine.name must be the name that"),
    ("own.yml", {"a": {"steps": 3, "every": 1, "run": "math.pi"}}, "a.run must be a class that trains"),
])  # fmt: skip
def test_a_file_that_is_no_recipe_is_refused(given, content, told, tmp_path):
    (tmp_path / "own.yml").write_text(json.dumps(content), encoding="utf-8")
    code, shown, errors = call("train", given)
    assert (code, shown) == (2, "") and told in " ".join(errors.split()), errors


def test_tensorboard_is_passed_on(recipe, monkeypatch):
    asked = {}

    def train(recipe, **kwargs):
        asked.update(kwargs)
        raise training.TrainingError("enough")

    monkeypatch.setattr(training, "train", train)
    assert call("train", "tiny", "--tensorboard", "board")[0] == 1
    assert asked["tensorboard"] == Path("board") and asked["progress"] is True


# Recipes and records --------------------------------------------------------------------------------------------------


def test_show_prints_a_recipe_file_and_explains_it(tmp_path):
    code, shown, errors = call("show", "lenet5-mnist", "--set", "batch_size=64")
    assert (code, errors) == (0, "")
    assert "An epoch is 937.5 steps: 60,000 training images, 64 a step." in shown
    assert all(f"# {name}" in shown for name in ("batch_size", "augment", "precision", "vary"))  # explained
    assert 'precision: "float32"' in shown.split("at the default:")[1]
    (tmp_path / "mine.yml").write_text(shown.replace("name: lenet5-mnist", "name: mine"), encoding="utf-8")
    mine, theirs = training.read("mine.yml")["mine"], recipes.RECIPES["lenet5-mnist"]
    assert mine == theirs.with_settings({"batch_size": 64}).changed(name="mine")
    code, shown, errors = call("show", "lenet5-mnist", "--json")
    assert (code, errors) == (0, "") and json.loads(shown) == theirs.plain()


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_every_recipe_can_be_shown(name):
    code, shown, errors = call("show", name)
    assert (code, errors) == (0, "") and f"name: {name}" in shown and "An epoch is" in shown
    told = shown.split("# The settings. ", 1)[1].split("# Not set")[0]
    assert [key for key in recipes.RECIPES[name].settings if key not in told] == []


def _panels(monkeypatch, *words):
    """The axes of what `plot` draws: for each panel its lines, label -> (steps, values)."""
    drawn = []
    draw = program._curves
    monkeypatch.setattr(program, "_curves", lambda *given: drawn.append(draw(*given)) or drawn[-1])
    code, shown, errors = call("plot", *words)
    assert (code, errors) == (0, ""), errors
    return list(drawn[0].axes), shown


def test_plot_draws_each_seed_their_mean_and_the_paper(record, tmp_path, monkeypatch):
    (loss, error), shown = _panels(monkeypatch, "made")
    assert shown == "made.png: made\n" and (tmp_path / "made.png").read_bytes()[:4] == b"\x89PNG"
    assert (loss.get_ylabel(), error.get_ylabel(), error.get_xlabel()) == ("loss", "test error", "step")
    lines = {line.get_label(): line for line in error.lines}
    assert list(lines["made (mean of 2)"].get_xdata()) == [10, 20]
    assert list(lines["made (mean of 2)"].get_ydata()) == [0.4, 0.25]
    paper = lines["Nobody2026: 12.5%"]
    assert set(paper.get_ydata()) == {0.125} and paper.get_linestyle() == "--"
    thin = [line for line in error.lines if line.get_linewidth() < 1]
    assert len(thin) == 2 and len(loss.lines) == 3  # the paper has no loss


def test_plot_of_several_records_and_runs(record, tmp_path, monkeypatch):
    short = record | {"name": "other", "short": True}
    (tmp_path / "record.json").write_text(json.dumps(short), encoding="utf-8")
    run = {"seed": 4, "plan": {"name": "third"}, "history": {"step": [1, 2], "test_error": [0.9, None]}}
    (tmp_path / "run.json").write_text(json.dumps(run), encoding="utf-8")
    words = ("record.json", "run.json", "--curve", "test_error", "--log", "--out", "a.svg")
    (error,), shown = _panels(monkeypatch, *words)
    labels = {line.get_label() for line in error.lines if not line.get_label().startswith("_")}
    assert labels == {"other (mean of 2)", "third seed 4"}  # a shortened run stands beside no paper
    assert error.get_yscale() == "log" and "a.svg: other, third seed 4" in shown
    assert "<svg" in (tmp_path / "a.svg").read_text(encoding="utf-8")
    (error,), _ = _panels(monkeypatch, "records/made.json", "made", "--curve", "test_error")
    assert len([line for line in error.lines if not line.get_label().startswith("_")]) == 3


def test_plot_needs_no_display(record, tmp_path, monkeypatch):
    monkeypatch.delenv("MPLBACKEND", raising=False)
    monkeypatch.setenv("DISPLAY", ":77")  # there is none
    running = process("plot", "made")
    assert running.communicate(timeout=180) == ("made.png: made\n", "") and (tmp_path / "made.png").exists()


@pytest.mark.parametrize(("change", "words", "told"), [
    ({}, ["mad"], "there is no records/mad.json; make it by: python -m cnnbook train mad. In records/ there are: made"),
    ({}, ["made", "--curve", "accuracy"], "made has no curve accuracy; it has: loss, test_error"),
    ({}, ["nowhere.json"], "nowhere.json"),
    ({"runs": [{"history": {}}]}, ["made"], "made has no curves against steps that its seeds share; it has: none"),
    ({"runs": [{"history": {"loss": [1.0]}}]}, ["made"], "against steps that its seeds share; it has: ['loss']"),
    ({"runs": [{"history": {"step": [1], "loss": [1.0]}}, {"history": {"step": [2], "loss": [1.0]}}]}, ["made"],
     "against steps that its seeds share"),
    ({"runs": None}, ["made"], "made must be a record.json or a run.json"),
    ({"runs": []}, ["made"], "made has no curves"),
    ({"paper": None}, ["made"], "made must be a record.json or a run.json"),
])  # fmt: skip
def test_plot_says_what_is_wrong(change, words, told, record, tmp_path):
    (tmp_path / "records" / "made.json").write_text(json.dumps(record | change), encoding="utf-8")
    code, shown, errors = call("plot", *words)
    assert (code, shown) == (1, "") and errors.startswith("Error: ") and told in errors, errors
    assert not list(tmp_path.glob("*.png"))


# Data -----------------------------------------------------------------------------------------------------------------


def test_data_list():
    assert call("data", "list", "--plain") == (0, "\n".join(data.names()) + "\n", "")
    code, shown, errors = call("data", "list")
    assert (code, errors) == (0, "")
    assert all(name in shown and data.describe(name) in shown for name in data.names())
    assert "digits.csv.gz" in shown


def test_data_list_and_check_name_a_folder_that_is_none(monkeypatch):
    monkeypatch.setenv("CNNBOOK_DATA", "nowhere")
    code, shown, _ = call("data", "list")
    assert code == 0 and "CNNBOOK_DATA must name a folder of data sets, got 'nowhere'" in shown
    code, shown, errors = call("data", "check")
    assert code == 1 and "digits: holds" in shown and "got 'nowhere'" in errors


def test_data_check():
    code, shown, errors = call("data", "check")
    assert (code, errors) == (0, "")
    assert f"digits: holds, {data.load('digits').split}, sha256 {data.load('digits').sha256}" in shown
    assert "mnist: not on this machine" in shown
    code, _, errors = call("data", "check", "digits", "mnist")  # asked for by name, it must be there
    assert code == 1 and "data fetch mnist" in errors


def test_data_check_finds_damage_and_goes_on(tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "mnist.npz").write_text("no npz")
    code, shown, errors = call("data", "check", "mnist", "digits")
    assert code == 1 and "mnist.npz is damaged" in errors and "digits: holds" in shown


def test_data_fetch(monkeypatch):
    fetched = []
    monkeypatch.setattr(data, "fetch", lambda name, force: fetched.append((name, force)) or Path(f"{name}.npz"))
    assert call("data", "fetch", "mnist", "cifar10", "--force") == (0, "mnist: mnist.npz\ncifar10: cifar10.npz\n", "")
    assert fetched == [("mnist", True), ("cifar10", True)]


def test_data_fetch_that_fails(monkeypatch):
    def fail(name, force):
        raise data.DataError(f"{name} could not be fetched: [no network]")

    monkeypatch.setattr(data, "fetch", fail)
    assert call("data", "fetch", "mnist") == (1, "", "Error: mnist could not be fetched: [no network]\n")


# The process ----------------------------------------------------------------------------------------------------------


def test_data_commands_do_not_load_keras():
    code = (
        "import sys; from cnnbook import __main__\n"
        "try: __main__.main()\n"
        "finally: print([m for m in ('keras', 'tensorflow', 'torch', 'jax') if m in sys.modules], file=sys.stderr)"
    )
    for words in (["data", "list"], ["--help"], ["train", "--help"], ["data", "check", "digits"]):
        running = process(*words, code=code)
        shown, errors = running.communicate(timeout=180)
        assert (running.returncode, errors) == (0, "[]\n") and shown


def test_the_backends_chatter_is_held_back():
    running = process("audit", "lenet5", "--json")
    shown, errors = running.communicate(timeout=180)
    assert (running.returncode, errors) == (0, "") and json.loads(shown)["parameters"] == 60840


@pytest.mark.parametrize("words", (["data", "list"], ["--help"], ["list", "--plain"]))
def test_a_closed_pipe_is_no_failure_of_ours(words):
    reader, writer = os.pipe()
    os.close(reader)
    running = process(*words, stdout=writer)
    os.close(writer)
    assert running.communicate(timeout=180)[1] == ""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
@pytest.mark.parametrize("words", (["data", "list"], ["--help"]))
def test_output_that_cannot_be_written_is_said(words):
    with open("/dev/full", "w") as full:
        running = process(*words, stdout=full)
    errors = running.communicate(timeout=180)[1]
    assert running.returncode == 1 and "No space left on device" in errors and "Traceback" not in errors


def test_python_m_cnnbook():
    found = subprocess.run([sys.executable, "-m", "cnnbook", "--version"], capture_output=True, text=True, check=True)
    assert re.fullmatch(r"cnnbook \d+\.\d+\.\d+\n", found.stdout)
