"""training/fit.py: what each setting of a Keras model's run does, and which examples it sees when."""

from cnnbook import backend, data, models, recipes, training
from cnnbook.tasks import classify
from cnnbook.training import RecipeError, fit

import dataclasses
import math

import keras
import numpy as np
import pytest
import small_recipe
from small_recipe import QUICK, SEED

HERE = "test_fit"  # settings name this file's functions by their dotted names
DIGITS = data.load("digits")
FEW = dataclasses.replace(DIGITS, train=data.Examples(*DIGITS.train[:50]), test=data.Examples(*DIGITS.test[:40]))
PLAIN = {"augment": [], "network.rate": 0.0, "optimizer": {"of": "keras.optimizers.SGD", "learning_rate": 0.1}}


def made(settings=None, examples=FEW, steps=6, every=3, seed=SEED):
    """A run of the small recipe with these settings."""
    with backend.randomness_kept():
        keras.utils.set_random_seed(seed)
        return fit.Fit(QUICK.with_settings(settings or {}).settings_of(seed), examples, steps, every, seed)


def some(run, count, step=0):
    """The first batches from a step on."""
    return [batch for batch, _ in zip(run.batches(step), range(count), strict=False)]


def weights(run):
    return [keras.ops.convert_to_numpy(v).copy() for v in run.model.trainable_variables]


def trained(run, step=0):
    """Train to the end; what was told behind each step."""
    told = []
    run.train(step, lambda n, curves=None, loss=None: told.append((n, curves)))
    return told


def same(batches, others):
    return all(np.array_equal(a, b) for one, other in zip(batches, others, strict=True)
               for a, b in zip(one, other, strict=True))  # fmt: skip


# Which examples -------------------------------------------------------------------------------------------------------


def with_numbers(examples):
    """Examples whose labels are their numbers."""
    train = data.Examples(examples.train.x, np.arange(len(examples.train)))
    return dataclasses.replace(examples, train=train)


@pytest.mark.parametrize("size", [7, 10, 50, 64, 120])
def test_each_epoch_shows_each_image_once_in_a_new_order(size):
    numbered = with_numbers(FEW)
    run = made({"batch_size": size}, numbered, steps=40)
    epochs = np.concatenate([y for _, y in some(run, -(-200 // size))])[:200].reshape(4, 50)
    for epoch in epochs:
        assert sorted(epoch) == list(range(50))
    assert len({tuple(epoch) for epoch in epochs}) == 4
    x, y = some(made({"batch_size": size, "augment": []}, numbered), 1)[0]
    assert np.array_equal(x, small_recipe.grey(FEW.x_train[y]))  # an image keeps its label


def test_a_batch_is_a_function_of_seed_and_number():
    changed = {"mix": {"of": "cnnbook.data.augment.cutmix", "alpha": 1.0}, "one_hot": True}
    whole = some(made(changed, steps=12), 9)
    assert same(whole, some(made(changed, steps=12), 9))
    assert same(whole[4:], some(made(changed, steps=12), 5, step=4))
    other = some(made(changed, steps=12, seed=4), 9)
    assert not any(np.array_equal(a[0], b[0]) for a, b in zip(whole, other, strict=True))


def test_a_batch_does_not_depend_on_the_threads(monkeypatch):
    one = some(made(), 6)
    monkeypatch.setattr(fit.grain, "ReadOptions", lambda *given, **names: GRAIN(num_threads=1, prefetch_buffer_size=1))
    assert same(one, some(made(), 6))


GRAIN = fit.grain.ReadOptions


def remember(rng, images, index, epoch):
    """A change that says what it was told."""
    SEEN.append((index.copy(), epoch.copy()))
    return images


SEEN = []


def test_a_change_is_told_which_image_is_which_in_which_epoch():
    SEEN.clear()
    run = made({"augment": [f"{HERE}.remember"], "batch_size": 20}, with_numbers(FEW))
    labels = [y for _, y in some(run, 6)]
    told = {(tuple(index), tuple(epoch)) for index, epoch in SEEN}
    for n, y in enumerate(labels):
        assert (tuple(y), tuple((20 * n + np.arange(20)) // 50)) in told


def test_the_shipped_flip_turns_every_image_at_every_epoch():
    run = made({"augment": ["cnnbook.data.augment.alternate_mirror"], "batch_size": 50}, with_numbers(FEW))
    first, second = ({n: image for image, n in zip(x, y, strict=True)} for x, y in some(run, 2))
    plain = small_recipe.grey(FEW.x_train)
    for n in range(50):
        assert np.array_equal(first[n], second[n][:, ::-1])
        assert any(np.array_equal(plain[n], image) for image in (first[n], second[n]))
    assert 5 < sum(np.array_equal(plain[n], first[n]) for n in range(50)) < 45


# Input, changes, labels -----------------------------------------------------------------------------------------------


def brighter(rng, images, amount):
    return images + amount


def doubled(rng, images):
    return 2 * images


def test_changes_are_made_one_after_the_other_to_training_images_alone():
    plain = made({"augment": []})
    changed = made({"augment": [{"of": f"{HERE}.brighter", "amount": 1.0}, f"{HERE}.doubled"]})
    for (x, y), (plain_x, plain_y) in zip(some(changed, 3), some(plain, 3), strict=True):
        assert np.array_equal(x, 2 * (plain_x + 1)) and np.array_equal(y, plain_y)
    changed.model.set_weights(plain.model.get_weights())
    assert np.array_equal(changed.tested()[0], plain.tested()[0])


def test_distortion_is_drawn_anew_for_each_batch():
    (plain, _), (changed, _) = (some(made(settings, examples=dataclasses.replace(
        FEW, train=data.Examples(*FEW.train[:1]))), 2) for settings in ({"augment": [], "batch_size": 1},
                                                                        {"batch_size": 1}))  # fmt: skip
    plain, changed = np.array(plain[0]), np.array(changed[0])
    assert changed.shape == plain.shape and not np.array_equal(changed, plain)


def test_prepare_comes_once_and_input_for_each_batch():
    run = made({"prepare": {"of": "small_recipe.dimmed", "factor": 0.5}, "augment": []}, with_numbers(FEW))
    x, y = some(run, 1)[0]
    assert np.array_equal(x, small_recipe.grey(FEW.x_train[y] * 0.5))
    assert np.array_equal(run.examples.test.x, FEW.x_test * 0.5)
    assert FEW.x_test.dtype == np.uint8 and FEW.x_test.max() == 16  # the set itself is as it was
    images = made({"input": None, "augment": [], "prepare": f"{HERE}.channel"}, with_numbers(FEW))
    x, y = some(images, 1)[0]
    assert x.dtype == np.float32 and np.array_equal(x, FEW.x_train[y][..., None])


def channel(images):
    return images[..., None]


def test_labels_become_one_hot_and_mixing_has_them():
    plain = some(made({"augment": []}), 2)
    hot = some(made({"augment": [], "one_hot": True}), 2)
    for (x, y), (hot_x, hot_y) in zip(plain, hot, strict=True):
        assert hot_y.shape == (32, 10) and hot_y.dtype == np.float32
        assert np.array_equal(hot_y.argmax(axis=1), y) and set(hot_y.sum(axis=1)) == {1.0}
        assert np.array_equal(hot_x, x)
    mixed = some(made({"augment": [], "one_hot": True, "mix": {"of": "cnnbook.data.augment.mixup", "alpha": 1.0}}), 2)
    for (x, y), (hot_x, hot_y) in zip(mixed, hot, strict=True):
        share = y[hot_y == 1].min()  # the least that an image's own label has: where the other's is another
        assert 0 < share < 1 and np.allclose(y.sum(axis=1), 1)
        assert not np.array_equal(x, hot_x)
        np.testing.assert_allclose(x.mean(axis=0), hot_x.mean(axis=0), atol=1e-5)  # the others are the same images
        np.testing.assert_allclose(y.sum(axis=0), hot_y.sum(axis=0), atol=1e-4)


# Learning -------------------------------------------------------------------------------------------------------------


def reference(run, optimizer, loss, batches, after=lambda model: None):
    """The weights that Keras' own train_on_batch comes to on these batches, from where the run stands."""
    model = keras.models.clone_model(run.model)
    model.set_weights(run.model.get_weights())
    model.compile(optimizer, loss)
    for x, y in batches:
        model.train_on_batch(x, y)
        after(model)
    model.optimizer.finalize_variable_values(model.trainable_variables)
    return [keras.ops.convert_to_numpy(v) for v in model.trainable_variables]


SMOOTH = {"of": "keras.losses.CategoricalCrossentropy", "from_logits": True, "label_smoothing": 0.2}
SPARSE = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
CASES = {
    "plain": ({}, lambda: keras.optimizers.SGD(0.1), SPARSE),
    "label smoothing": ({"loss": SMOOTH, "one_hot": True}, lambda: keras.optimizers.SGD(0.1),
                        keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.2)),
    "averages": ({"optimizer.use_ema": True, "optimizer.ema_momentum": 0.5},
                 lambda: keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5), SPARSE),
    "accumulation": ({"optimizer.gradient_accumulation_steps": 2},
                     lambda: keras.optimizers.SGD(0.1, gradient_accumulation_steps=2), SPARSE),
    "a schedule": ({"optimizer.learning_rate": {"of": "keras.optimizers.schedules.PolynomialDecay",
                                                "initial_learning_rate": 0.2, "decay_steps": "$steps"}},
                   lambda: keras.optimizers.SGD(keras.optimizers.schedules.PolynomialDecay(0.2, 6)), SPARSE),
}  # fmt: skip


@pytest.mark.parametrize(("settings", "optimizer", "loss"), CASES.values(), ids=CASES)
def test_a_run_learns_as_keras_does_on_its_batches(settings, optimizer, loss):
    run = made(PLAIN | settings)
    before = weights(run)
    expected = reference(run, optimizer(), loss, some(run, 6))
    trained(run)
    for start, found, wanted in zip(before, weights(run), expected, strict=True):
        np.testing.assert_allclose(found, wanted, atol=2e-6)
        assert np.abs(found - start).max() > 1e-4
    other = reference(made(PLAIN), keras.optimizers.SGD(0.1), SPARSE, some(made(PLAIN), 6))
    far = max(np.abs(a - b).max() for a, b in zip(expected, other, strict=True))
    assert (far > 1e-3) == bool(settings)  # each setting matters


def test_accumulated_gradients_are_those_of_the_batches_together():
    """No batch normalisation: its statistics would be those of the parts."""
    dense = PLAIN | {"network": f"{HERE}.dense", "batch_size": 10}
    run = made(dense | {"optimizer.gradient_accumulation_steps": 2}, steps=4)
    pairs = some(run, 4)
    joined = [tuple(np.concatenate(parts) for parts in zip(*pairs[i : i + 2], strict=True)) for i in (0, 2)]
    expected = reference(run, keras.optimizers.SGD(0.1), SPARSE, joined)
    trained(run)
    for found, wanted in zip(weights(run), expected, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-6)


def dense():
    return keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10)])


def test_averages_are_measured_and_kept_as_the_weights():
    averages = {"optimizer.use_ema": True, "optimizer.ema_momentum": 0.8}
    run = made(PLAIN | averages, DIGITS, steps=6, every=2)
    plain = []
    batches = some(run, 6)
    expected = reference(run, keras.optimizers.SGD(0.1), SPARSE, batches, lambda model: plain.append(
        [keras.ops.convert_to_numpy(v).copy() for v in model.trainable_variables]))  # fmt: skip
    mean = plain[0]  # Keras begins with the weights after the first step
    for now in plain[1:]:
        mean = [0.8 * a + 0.2 * b for a, b in zip(mean, now, strict=True)]
    told = trained(run)
    for found, wanted, last in zip(weights(run), mean, expected, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-5)
        assert not np.allclose(last, wanted, atol=1e-4)
    assert told[-1][1]["test_error"] == run.measure()["test_error"]  # the curves' points are the averages', too


def test_curves_are_means_over_a_stretch_of_the_training_batches():
    run = made(PLAIN | {"curves": ["keras.metrics.SparseCategoricalAccuracy"], "network": f"{HERE}.dense"}, steps=7)
    model, found = keras.models.clone_model(run.model), []
    model.set_weights(run.model.get_weights())
    model.compile(keras.optimizers.SGD(0.1), SPARSE)
    for x, y in some(run, 7):
        scores = model.predict_on_batch(x)
        right = np.mean(scores.argmax(axis=1) == y)
        found.append((float(keras.ops.convert_to_numpy(keras.ops.mean(SPARSE(y, scores)))), right))
        model.train_on_batch(x, y)
    told = trained(run)
    assert [n for n, _ in told] == list(range(1, 8))
    points = {n: curves for n, curves in told if curves}
    assert list(points) == [3, 6, 7]  # behind every third step and the last
    for n, stretch in ((3, found[:3]), (6, found[3:6]), (7, found[6:])):
        assert points[n].keys() == {"loss", "sparse_categorical_accuracy", "test_error"}
        assert points[n]["loss"] == pytest.approx(np.mean([loss for loss, _ in stretch]), rel=1e-4)
        assert points[n]["sparse_categorical_accuracy"] == pytest.approx(np.mean([right for _, right in stretch]))


def largest(scores, labels, factor=1):
    """A metric: the largest output, so many times."""
    return factor * scores.max()


def test_metrics_have_names_and_arguments_of_their_own():
    most = {"of": f"{HERE}.largest", "factor": 2}
    run = made({"metrics": {"top5": "cnnbook.tasks.classify.top5_error", "most": most}})
    scores = run.tested()[0]
    assert scores.shape == (40, 10)
    np.testing.assert_allclose(scores, run.model.predict(small_recipe.grey(FEW.x_test), verbose=0), atol=1e-5)
    place = (-scores).argsort(axis=1).argsort(axis=1)[np.arange(40), FEW.y_test]
    assert run.measure() == {"top5": np.mean(place >= 5), "most": pytest.approx(2 * scores.max())}


def two_views(images):
    return [(0.25, images), (0.75, images[:, ::-1].copy())]


def test_outputs_are_averaged_over_views():
    run = made({"views": f"{HERE}.two_views"})
    x = small_recipe.grey(FEW.x_test)
    one, other = (run.model.predict(v, verbose=0) for v in (x, x[:, ::-1].copy()))
    np.testing.assert_allclose(run.tested()[0], 0.25 * one + 0.75 * other, atol=1e-5)
    assert not np.allclose(one, other, atol=1e-2)


def first_score(scores, labels):
    return scores[0, 0]


def test_the_points_of_the_curves_are_of_images_as_they_are():
    """Six views of each image at each point would take longer than the training between."""
    metrics = {"first": f"{HERE}.first_score"}
    run = made({"views": f"{HERE}.two_views", "metrics": metrics})
    x, last = small_recipe.grey(FEW.x_test[:1]), trained(run)[-1][1]
    one, other = (run.model.predict(v, verbose=0)[0, 0] for v in (x, x[:, ::-1].copy()))
    assert last["first"] == pytest.approx(one, abs=1e-5) and not np.isclose(one, other, atol=1e-3)
    assert run.measure()["first"] == pytest.approx(0.25 * one + 0.75 * other, abs=1e-5)


def test_batches_are_handed_over_in_groups_that_change_none_of_them():
    run = made()
    assert len(next(iter(run.groups()))[0]) > 1  # or nothing is grouped
    whole = [run._batch(n, *run._places(n)) for n in range(7)]
    for start in (0, 1, 3):
        for (x, y), (x_alone, y_alone) in zip(some(run, 7 - start, start), whole[start:], strict=True):
            np.testing.assert_array_equal(x, x_alone)
            np.testing.assert_array_equal(y, y_alone)


def shrinking(rng, images, index, epoch):
    """From the second epoch on a batch of single pixels, which would fill an image of a group."""
    return images[:, :1, :1] if epoch[-1] else images


def test_batches_that_are_not_alike_are_refused():
    run = made({"augment": [f"{HERE}.shrinking"], "batch_size": 50})
    assert run._group([0])[0].shape == (1, 50, 8, 8, 1)
    with pytest.raises(ValueError, match=r"alike, got float32 \(50, 1, 1, 1\) in batch 1 and float32 \(50, 8, 8, 1\)"):
        run._group([0, 1])


def test_a_group_is_no_larger_than_it_must_be(monkeypatch):
    """Large images in large batches: several at once, for each thread, would fill the memory."""
    run = made()
    one = sum(part.nbytes for part in run._batch(0, *run._places(0)))
    for most, room, count in ((9, one - 1, 1), (9, 3 * one, 3), (2, 9 * one, 2)):
        monkeypatch.setattr(fit, "TOGETHER", (most, room))
        assert len(next(iter(run.groups()))[0]) == count


def unfit(rng, images):
    return images + np.zeros((1, 3, 5, 1))


def test_what_cannot_be_before_the_first_step_is_said_in_a_line():
    with pytest.raises(RecipeError, match="settings: the first image cannot be made into a batch: operands"):
        made({"augment": [f"{HERE}.unfit"]})
    for name in ("loss", "step"):
        with pytest.raises(RecipeError, match=f"settings.metrics must have names of their own: {name} is a curve's"):
            made({"metrics": {name: f"{HERE}.first_score"}})
    with pytest.raises(RecipeError, match=r"settings.loss must be a dotted name, or a mapping with one under `of`"):
        made({"loss": {"from_logits": True}})


def first_filters(model, images):
    """A start: the first layer's biases are the images' mean."""
    model.layers[1].bias.assign(np.full(8, images.mean()))


def test_a_start_comes_before_the_first_step_and_not_after_a_checkpoint():
    run = made({"start": f"{HERE}.first_filters"})
    bias = lambda: keras.ops.convert_to_numpy(run.model.layers[1].bias)
    np.testing.assert_allclose(bias(), small_recipe.grey(FEW.x_train).mean(), rtol=1e-6)
    values = run.values()
    trained(run)
    assert len(set(bias())) == 8
    kept = made({"start": f"{HERE}.first_filters"})
    kept.assign(run.values())
    assert np.array_equal(keras.ops.convert_to_numpy(kept.model.layers[1].bias), bias())
    assert len(values) == len(run.values())


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_precision_is_keras_policy(precision):
    before = keras.config.dtype_policy()
    run = made({"precision": precision})
    assert {layer.dtype_policy.name for layer in run.model.layers} == {precision}
    assert {backend_name(v.dtype) for v in run.model.trainable_variables} == {"float32"}
    assert isinstance(run.model.optimizer, keras.optimizers.LossScaleOptimizer) == (precision == "mixed_float16")
    assert keras.config.dtype_policy() is before
    assert run.tested()[0].dtype == np.float32


def backend_name(dtype):
    return keras.backend.standardize_dtype(dtype)


def test_a_checkpoint_holds_the_state_of_random_layers_and_the_optimiser():
    run = made()
    (dropout,) = [layer for layer in run.model.layers if isinstance(layer, keras.layers.Dropout)]
    own = run._variables()
    assert any(v is dropout.seed_generator.state for v in own)
    assert all(any(v is mine for mine in own) for v in run.model.optimizer.variables)
    assert any(v.name == "moving_variance" for v in own)
    assert bool(backend.dice()) == (backend.name() == "torch")


def test_what_is_restored_is_what_was_saved():
    run, other = made(), made(seed=4)
    trained(run)
    values = [np.array(value) for value in run.values()]
    assert not all(map(np.array_equal, values, other.values()))
    other.assign(values)
    assert all(map(np.array_equal, values, other.values()))


def test_averaging_for_a_look_gives_the_weights_back():
    run = made(PLAIN | {"optimizer.use_ema": True, "optimizer.ema_momentum": 0.5})
    for _ in range(2):
        run.model.optimizer.apply_gradients([(keras.ops.ones(v.shape), v) for v in run.model.trainable_variables])
    before = weights(run)
    with backend.averages_tried(run.model):
        inside = weights(run)
    assert all(map(np.array_equal, before, weights(run)))
    assert not any(map(np.array_equal, before, inside))


# Data -----------------------------------------------------------------------------------------------------------------


def test_held_out_and_validating_never_look_at_test_images(monkeypatch):
    asked = []

    def load(name, test_images=None):
        asked.append(test_images)
        return dataclasses.replace(DIGITS, test=None)

    monkeypatch.setattr(data, "load", load)
    held = fit.load({"name": "digits", "hold_out": 37})
    assert len(held.train) == 1400 and np.array_equal(held.y_test, DIGITS.y_train[1400:])
    both = fit.load({"name": "digits", "hold_out": 37, "test_images": 10})
    assert np.array_equal(both.y_test, held.y_test)
    checked = fit.load({"name": "digits"}, validate=True)
    assert len(checked.test) == 239 and np.array_equal(checked.x_test, DIGITS.x_train[1198:])
    assert asked == [0, 0, 0]  # none is asked for


def test_validating_a_held_out_set_takes_the_last_sixth_of_what_is_trained_on():
    found, kept = fit.load({"name": "digits", "hold_out": 37}, validate=True), 1400 - 1400 // 6
    assert len(found.train) == kept
    assert np.array_equal(found.x_test, DIGITS.x_train[kept:1400])
    assert np.array_equal(found.y_test, DIGITS.y_train[kept:1400])
    assert found.split == "training images only: the first 1,167 / the next 233"
    assert found.sha256 == DIGITS.sha256_train


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "data must have one of name and folder"),
        ({"name": "digits", "folder": "mine"}, "data must have one of name and folder"),
        ({"name": "digit"}, "data name must be one of .*digits.*, got 'digit'"),
        ({"name": "digits", "holdout": 3}, "data.holdout is not known; allowed: .*Nearest: hold_out"),
        ({"name": "digits", "hold_out": 1437}, "from 1 to 1,436, got 1437"),
        ({"name": "digits", "hold_out": 0}, "data.hold_out: .*got 0"),
        ({"name": "digits", "test_images": 0}, "data must have hold_out beside test_images: 0"),
        ({"name": "digits", "test_images": -1}, "data.test_images: .*got -1"),
        ({"folder": "mine"}, "data must have one of test_folder and hold_out beside folder"),
        ({"folder": "mine", "test_folder": "ours", "hold_out": 3}, "must have one of test_folder and hold_out"),
        ({"name": "digits", "test_folder": "ours"}, "must have test_folder beside folder alone"),
        ({"folder": "mine", "size": [0, 2], "hold_out": 3}, "size must be .height, width."),
    ],
)
def test_data_that_cannot_be_had_are_named(given, words):
    with pytest.raises(ValueError, match=words):
        fit.load(given)


@pytest.fixture
def pictures(tmp_path):
    """Two folders of two classes of six pictures; the first of one is damaged."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for part in "train", "test":
        for label, name in enumerate(("dark", "light")):
            (tmp_path / part / name).mkdir(parents=True)
            for i in range(6):
                pixels = rng.integers(100 * label, 100 * label + 100, (12, 10, 3), "uint8")
                Image.fromarray(pixels).save(tmp_path / part / name / f"{i}.png")
    (tmp_path / "train" / "dark" / "0.png").write_bytes(b"damaged")
    return {part: str(tmp_path / part) for part in ("train", "test")}


def test_part_of_a_folder_is_held_out_from_all_classes(pictures, tmp_path):
    name = lambda part: [part.source._name(i) for i in part.numbers]
    held = fit.load({"folder": pictures["train"], "hold_out": 6, "size": [8, 8]})
    assert len(held.train) == len(held.test) == 6 and len({*name(held.train), *name(held.test)}) == 12
    assert set(held.test[np.arange(6)][1]) == {0, 1}
    assert held.split == "6 images of a folder / 6 others" and held.name == "train"
    for given, kept, out in (({"hold_out": 6}, 5, 1), ({"test_folder": pictures["test"]}, 10, 2)):
        tried = fit.load({"folder": pictures["train"], "size": [8, 8], **given}, validate=True)
        assert (len(tried.train), len(tried.test)) == (kept, out)
        assert not {*name(tried.train), *name(tried.test)} & set(name(held.test) if "hold_out" in given else [])
        assert not set(name(tried.train)) & set(name(tried.test))
    assert fit.load({"folder": pictures["train"], "hold_out": 2}).sha256 == held.sha256
    (tmp_path / "train" / "light" / "more.png").write_bytes(b"")
    assert fit.load({"folder": pictures["train"], "hold_out": 2}).sha256 != held.sha256
    with pytest.raises(RecipeError, match=r"data.hold_out must leave images to train on, got 13 of 13 in"):
        fit.load({"folder": pictures["train"], "hold_out": 13})
    (tmp_path / "test" / "light").rename(tmp_path / "test" / "bright")
    with pytest.raises(RecipeError, match=r"must have the classes of .*, dark, light, got bright, dark"):
        fit.load({"folder": pictures["train"], "test_folder": pictures["test"]})


def test_a_folder_of_pictures_is_trained_on(pictures):
    examples = fit.load({"folder": pictures["train"], "test_folder": pictures["test"], "size": [8, 8]})
    assert examples.classes == ("dark", "light") and examples.split == "12 images of a folder / 12 in test"
    with pytest.raises(RecipeError, match=r"settings.prepare is for a set that is in memory"):
        made({"prepare": "small_recipe.dimmed"}, examples)
    run = made({"network": f"{HERE}.coloured", "input": f"{HERE}.to_one", "augment": [], "batch_size": 4,
                "optimizer.learning_rate": 0.1}, examples, steps=60, every=60)  # fmt: skip
    told = trained(run)
    assert told[-1][1]["test_error"] == 0.0
    assert list(examples.damaged) == [f"{pictures['train']}/dark/0.png"]


def coloured():
    return keras.Sequential([keras.Input((8, 8, 3)), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)])


def to_one(images):
    return (images / 255).astype("float32")


# Faults ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"loss": "keras.losses.nothing"}, "settings.loss must be the dotted name"),
        ({"network.rates": 1}, "settings.network.rates is not known to small_recipe.network"),
        ({"optimizer.rate": 1}, "settings.optimizer"),
        ({"augment": ["small_recipe.nothing"]}, "settings.augment.0 must be the dotted name"),
        ({"metrics": {"ours": "small_recipe.nothing"}}, "settings.metrics.ours must be the dotted name"),
        ({"curves": ["keras.metrics.nothing"]}, "settings.curves.0 must be the dotted name"),
        ({"optimizer": {"of": "keras.layers.Dense", "units": 3}}, "settings.*cannot be compiled"),
        ({"network": {"of": "small_recipe.grey", "images": [1]}}, "settings"),
    ],
)
def test_faults_of_settings_are_named(settings, words):
    with pytest.raises(RecipeError, match=words):
        made(settings)


def no_images(rng, images):
    raise ValueError("these images are of no use")


@pytest.mark.filterwarnings("ignore")
def test_a_fault_of_a_change_ends_the_run_with_its_words():
    with pytest.raises(Exception, match="these images are of no use"):
        trained(made({"augment": [f"{HERE}.no_images"]}))


def test_a_network_of_the_book_is_trained():
    """LeNet-5 by the book's recipe, for a few steps."""
    digits = dataclasses.replace(
        FEW, **{part: data.Examples(np.zeros((len(e), 28, 28), "uint8"), e.y)
                for part, e in (("train", FEW.train), ("test", FEW.test))})  # fmt: skip
    run = made({"network": "cnnbook.models.lenet5", "input": "cnnbook.data.augment.lenet_input", "augment": [],
                "loss": "cnnbook.tasks.classify.map_criterion"}, digits, steps=2, every=2)  # fmt: skip
    assert run.model.count_params() == models.lenet5().count_params()
    (_, nothing), (last, curves) = trained(run)
    assert nothing is None and last == 2 and np.isfinite(curves["loss"])


DEEP = ("56", "110", "164")  # a name with one of these takes seconds to build


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[pytest.mark.slow] if any(depth in name for depth in DEEP) else [])
    for name, one in recipes.RECIPES.items() if one.run.endswith(".Fit")
])  # fmt: skip
def test_a_recipe_of_the_book_fits_its_data(name):
    recipe = recipes.RECIPES[name]
    published = data.catalogue.PUBLISHED[recipe.data["name"]]
    rng = np.random.default_rng(0)
    some_images = data.Examples(rng.integers(0, 256, (8, *published.image), "uint8"), np.arange(8, dtype="uint8"))
    examples = dataclasses.replace(DIGITS, train=some_images, test=some_images)
    run = recipe.runner()(recipe.settings_of(recipe.seeds[0]), examples, recipe.steps, recipe.every, recipe.seeds[0])
    x, y = some(run, 1)[0]
    assert x.shape == (run.batch_size, *run.model.input_shape[1:]) and x.dtype == np.float32
    assert run.model.output_shape == (None, 10) and len(y) == len(x)


def test_the_map_criterion_is_equation_9():
    distances = np.array([[3.0, 0.5, 9.0] + [20.0] * 7, [1.0] * 10])
    labels = np.array([1, 4])
    found = keras.ops.convert_to_numpy(classify.map_criterion(labels, keras.ops.convert_to_tensor(-distances)))
    for row, label, value in zip(distances, labels, found, strict=True):
        assert value == pytest.approx(row[label] + math.log(math.exp(-1) + sum(math.exp(-d) for d in row)), rel=1e-5)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"optimizer.learning_rat": 0.1}, r"settings\.optimizer: .*learning_rat"),
        ({"optimizer.of": "keras.optimizers.Adem"}, r"settings\.optimizer\.of must be .*keras\.optimizers\.Adem"),
        ({"augment": ["cnnbook.data.augment.mirrer"]}, r"settings\.augment\.0 must be .*augment\.mirrer"),
        ({"network.rat": 0.5}, r"settings\.network\.rat is not known to small_recipe\.network; allowed: rate"),
        ({"input": "small_recipe.gray"}, r"settings\.input must be .*small_recipe\.gray"),
        ({"loss.from_logit": True}, r"settings\.loss\.from_logit is not known"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_named_before_anything_is_touched(tmp_path, monkeypatch, change, words):
    monkeypatch.setattr(fit, "load", lambda *given: pytest.fail("the data were read"))
    with pytest.raises(training.RecipeError, match=words):
        training.train(QUICK, settings=change, out=tmp_path / "runs", records=tmp_path)
    assert not list(tmp_path.iterdir())
