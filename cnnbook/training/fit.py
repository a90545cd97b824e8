"""A Keras model learns from examples: the run that most recipes are."""

from cnnbook import backend, data
from cnnbook.data import folders
from cnnbook.training.recipe import RecipeError, Strict, build, function

import dataclasses
import functools
import hashlib
import inspect
import itertools
import logging
import math
import os
from pathlib import Path
from typing import Annotated, Any, Literal

import keras
import numpy as np
from pydantic import Field, field_validator, model_validator

logging.getLogger("absl").addFilter(lambda line: "jax profiler" not in line.getMessage())  # grain misses it; we do not

import grain  # noqa: E402

ORDER, CHANGES = 1, 2  # streams of random numbers: the order of the examples, and how they are changed
LOOK = 50  # steps between two looks at the loss: each look waits for the device
TOGETHER = (16, 2_000_000)  # batches and bytes that a thread hands over at once: small batches, some at a time
AT_ONCE = 16  # steps that fit makes before it comes back to Python, where a thread hands over as many

Named = str | dict[str, Any]


class Data(Strict):
    """Where a run's examples come from.

    name, hold_out, test_images   a set of the catalogue; ``hold_out`` tests on the last so many training images
    folder, size                  your own images, one sub-folder a class, read as they are needed; ``test_folder`` has
                                  those to test on, or ``hold_out`` tests on so many, drawn from all classes. What the
                                  record calls their checksum is that of the files' names
    """

    name: str | None = None
    hold_out: Annotated[int, Field(ge=1, strict=True)] | None = None
    test_images: Annotated[int, Field(ge=0, strict=True)] | None = None
    folder: str | None = None
    test_folder: str | None = None
    size: tuple[int, int] = (224, 224)

    @model_validator(mode="after")
    def _one_source(self):
        if (self.name is None) == (self.folder is None):
            raise ValueError("must have one of name and folder")
        if self.name and self.name not in data.names():
            raise ValueError(f"name must be one of {', '.join(data.names())}, got {self.name!r}")
        if self.test_images == 0 and self.hold_out is None:
            raise ValueError("must have hold_out beside test_images: 0, which leaves none to test on")
        if self.folder and (self.test_folder is None) == (self.hold_out is None):
            raise ValueError("must have one of test_folder and hold_out beside folder")
        if (self.name and self.test_folder) or (self.folder and self.test_images is not None):
            raise ValueError("must have test_folder beside folder alone, and test_images beside name alone")
        return self


class Settings(Strict):
    """What ``Fit`` may be told.

    network     builds the model, uncompiled
    loss        a Keras loss, or a function of (label, output)
    optimizer   a Keras optimiser. Keras' own arguments bring EMA (use_ema), gradient accumulation
                (gradient_accumulation_steps), clipping (global_clipnorm) and schedules (learning_rate)
    batch_size  examples a step
    metrics     {name: function of (outputs, labels)}: measured on the test examples, at each point of the curves
    curves      Keras metrics of the training batches, beside the loss
    prepare     once, before training: all images -> images
    input       for each batch: images as they are stored -> what the network takes
    augment     for each training batch, one after the other: (rng, images) -> images; index= and epoch= if asked for
    mix         for each training batch: (rng, images, one-hot labels) -> both, such as mixup
    one_hot     labels as one-hot vectors, as mix and label smoothing need them
    start       (model, images) -> None, before the first step, such as a whitening of the first layer
    views       images -> [(weight, images), ...]: at the end a test image's outputs are averaged over its views; the
                points of the curves are of the images as they are, which takes a part of the time
    precision   Keras' dtype policy
    """

    network: Named
    loss: Named
    optimizer: Named
    batch_size: Annotated[int, Field(ge=1, strict=True)]
    metrics: dict[str, Named] = Field(default={"test_error": "cnnbook.tasks.classify.error"})
    curves: tuple[Named, ...] = ()
    prepare: Named | None = None
    input: Named | None = None
    augment: tuple[Named, ...] = ()
    mix: Named | None = None
    one_hot: bool = False
    start: Named | None = None
    views: Named | None = None
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"

    @field_validator("metrics")
    @classmethod
    def _own_names(cls, metrics):
        if taken := {"loss", "step"} & set(metrics):
            raise ValueError(f"must have names of their own: {', '.join(sorted(taken))} is a curve's already")
        return metrics

    @model_validator(mode="after")
    def _mixed_labels(self):
        if self.mix and not self.one_hot:
            raise ValueError("needs one_hot: true beside mix, which mixes labels")
        return self


class Supervised:
    """What runs on labelled examples share, however they learn: batches, scores, metrics.

    A run has ``examples``, ``steps``, ``input``, ``batch_size``, ``seed`` and ``metrics``; ``_batch(n, index, epoch)``
    makes batch n of the training examples with these numbers, ``_score(inputs)`` gives ``(batch, classes)``, of which
    the largest wins.
    """

    @functools.cached_property
    def example(self):
        """A training batch of one."""
        try:
            return self._batch(0, np.arange(1), np.zeros(1, int))
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            raise RecipeError(f"settings: the first image cannot be made into a batch: {error}") from error

    def batches(self, step=0):
        """The training batches from a step on: batch n is a function of seed and n, whatever the threads."""
        for x, y in self.groups(step):
            yield from zip(x, y, strict=True)

    def groups(self, step=0):
        """The same, some batches at a time: ``(batches, examples, ...)``."""
        count = self._together()
        threads = 2 if isinstance(self.examples.train, data.Examples) else min(16, os.cpu_count() or 1)  # files wait
        firsts = grain.MapDataset.range(step, self.steps + 64, count)  # Keras reads a little ahead
        made = firsts.map(lambda n: self._group(range(n, n + count)))
        return made.to_iter_dataset(grain.ReadOptions(threads, prefetch_buffer_size=threads + 2))

    def _together(self):
        most, room = TOGETHER  # more would be waited for in one piece
        return max(1, min(most, room // (self.batch_size * sum(part.nbytes for part in self.example))))

    def _group(self, numbers):
        made = (self._batch(n, *self._places(n)) for n in numbers)
        first = next(made)
        whole = tuple(np.empty((len(numbers), *part.shape), part.dtype) for part in first)
        for i, batch in enumerate(itertools.chain([first], made)):  # one after the other, in the same memory: to ask
            for part, all_of_it in zip(batch, whole, strict=True):  # for new memory takes longer than to fill it
                if (part.shape, part.dtype) != (all_of_it.shape[1:], all_of_it.dtype):
                    raise ValueError(f"all batches must be alike, got {part.dtype} {part.shape} in batch {numbers[i]} "
                                     f"and {all_of_it.dtype} {all_of_it.shape[1:]} in batch {numbers[0]}")  # fmt: skip
                all_of_it[i] = part
        return whole

    def _places(self, n):
        """Which examples are in batch n, and in which epoch each of them is. An epoch shows every example once."""
        place, count = n * self.batch_size + np.arange(self.batch_size), len(self.examples.train)
        epoch = place // count
        orders = {e: self._order(e) for e in range(epoch[0], epoch[-1] + 1)}
        return np.concatenate([order[place[epoch == e] % count] for e, order in orders.items()]), epoch

    def _order(self, epoch):
        """The order of an epoch, made once. grain's own shuffle takes ten microseconds an example."""
        if (kept := getattr(self, "_orders", {}).get(epoch)) is not None:
            return kept
        order = np.random.default_rng([ORDER, self.seed, epoch]).permutation(len(self.examples.train))
        self._orders = {e: o for e, o in getattr(self, "_orders", {}).items() if e >= epoch - 1} | {epoch: order}
        return order

    def tested(self, score=None):
        """The output for each test example, ``(examples, classes)``, and their labels."""
        score = score or self._score
        test, scores, labels = self.examples.test, [], []
        for start in range(0, len(test), 500):
            x, y = test[np.arange(start, min(start + 500, len(test)))]
            scores.append(score(self.input(x)))
            labels.append(y)
        return np.concatenate(scores), np.concatenate(labels)

    def measure(self, score=None):
        """The metrics on the test examples, of their outputs or of another ``score``."""
        found = self.tested(score)
        return {name: float(metric(*found)) for name, metric in self.metrics.items()}


class Fit(Supervised):
    """Teaches a Keras model by one ``fit`` that goes from a step to the last.

    A run has four methods. ``values()`` gives every array that the next step depends on, ``assign(values)`` puts a
    checkpoint's in, ``train(step, after)`` goes on from a step and calls ``after(step)`` behind each, or some made at
    once, with a mapping ``{curve: value}`` behind every so many, and ``measure()`` gives ``{metric: value}``.
    """

    Data, Settings = Data, Settings

    @classmethod
    def check(cls, settings, steps):
        """Raise RecipeError for a setting that names nothing, or arguments that it does not take; builds no network."""
        s, where = cls.Settings.check(settings, "settings"), "settings"
        build(s.optimizer, f"{where}.optimizer", steps=steps)
        _loss(s.loss, f"{where}.loss")
        several = {"augment": s.augment, "curves": s.curves}
        parts = {f"{name}.{i}": part for name, found in several.items() for i, part in enumerate(found)}
        parts |= {f"metrics.{name}": part for name, part in s.metrics.items()}
        parts |= {name: getattr(s, name) for name in ("network", "prepare", "input", "mix", "start", "views")}
        for name, part in parts.items():
            if part is not None:
                function(part, f"{where}.{name}", steps=steps)

    def __init__(self, settings, examples, steps, every, seed):
        s, where = self.Settings.check(settings, "settings"), "settings"
        self.examples, self.steps, self.every, self.seed, self.batch_size = examples, steps, every, seed, s.batch_size
        self.one_hot = len(examples.classes) if s.one_hot else None
        self.input = function(s.input, f"{where}.input") if s.input else _float
        self.augment = [_placed(function(f, f"{where}.augment.{i}")) for i, f in enumerate(s.augment)]
        self.mix = function(s.mix, f"{where}.mix") if s.mix else None
        self.views = function(s.views, f"{where}.views") if s.views else lambda images: [(1.0, images)]
        self.metrics = {name: function(f, f"{where}.metrics.{name}") for name, f in s.metrics.items()}
        if s.prepare:
            prepare = function(s.prepare, f"{where}.prepare")
            if isinstance(examples, Pictures):
                raise RecipeError(f"{where}.prepare is for a set that is in memory: change a folder's images by input")
            parts = {part: getattr(examples, part) for part in ("train", "test")}
            self.examples = dataclasses.replace(
                examples, **{part: dataclasses.replace(e, x=prepare(e.x)) for part, e in parts.items()}
            )
        with backend.dtype_policy(s.precision):
            self.model = backend.quicken(build(s.network, f"{where}.network", steps=steps))
            optimizer = build(s.optimizer, f"{where}.optimizer", steps=steps)
            try:
                curves = [build(m, f"{where}.curves.{i}") for i, m in enumerate(s.curves)]
                self.model.compile(optimizer, _loss(s.loss, f"{where}.loss"), metrics=curves)
                self.model.optimizer.build(self.model.trainable_variables)
            except (TypeError, ValueError, AttributeError) as error:
                raise RecipeError(f"{where}: the network cannot be compiled: {error}") from error
        self.example  # noqa: B018  what cannot be made is said before anything is written
        if s.start:
            images = self.input(self.examples.train[np.arange(min(5000, len(self.examples.train)))][0])
            function(s.start, f"{where}.start")(self.model, images)
        if s.curves:  # Keras makes these metrics' variables in the first step: a checkpoint's values need them before
            x, y = self._batch(0, np.arange(2), np.zeros(2, int))
            self.model.compute_metrics(x, y, self.model.predict_on_batch(x))
            self.model.reset_metrics()
        self._waiting = None  # a checkpoint's values that fit would overwrite as it starts

    def values(self):
        """Weights, statistics, states of random layers, the optimiser's moments; the running means; PyTorch's dice."""
        backend.synced(self.model)
        kept = [keras.ops.convert_to_numpy(v) for v in self._variables()]
        return [np.array(len(kept)), *kept, *(self._waiting or self._passing())]

    def assign(self, values):
        """Put a checkpoint's values in."""
        (count, *values), own = values, self._variables()
        if count != len(own):
            raise ValueError(f"{count} variables there, {len(own)} here")
        for variable, value in zip(own, values[: len(own)], strict=True):
            variable.assign(value)
        self._waiting = values[len(own) :]

    def _variables(self):
        return [*self.model.variables, *self.model.optimizer.variables]

    def _passing(self):
        means = [keras.ops.convert_to_numpy(v) for v in self.model.metrics_variables]
        return [np.array(len(means)), *means, *backend.dice()]

    def train(self, step, after):
        """Go on from a step to the last; ``after`` may stop it by an exception."""
        if step < self.steps:
            at_once = backend.steps_at_once(self._at_once(step))
            if at_once != self.model.steps_per_execution:
                self.model.steps_per_execution = at_once
                self.model.make_train_function(force=True)
            batches = backend.fed(self.groups(step), self.example)
            self.model.fit(batches, steps_per_epoch=self.steps - step, verbose=0, shuffle=False,
                           callbacks=_Watch(self, step, after))  # fmt: skip
        backend.averaged(self.model)  # what fit does at its end: a run that was resumed behind it needs it too

    def _at_once(self, step):
        """How many small steps may pass without a look at them: each point of the curves is the end of some."""
        between = math.gcd(step, self.every, self.steps)
        return max(n for n in range(1, min(AT_ONCE, self._together()) + 1) if between % n == 0)

    def _batch(self, n, index, epoch):
        x, y = self.examples.train[index]
        x = self.input(x)
        rng = np.random.default_rng([CHANGES, self.seed, n]) if self.augment or self.mix else None
        for change in self.augment:
            x = change(rng, x, index=index, epoch=epoch)
        y = y if self.one_hot is None else np.eye(self.one_hot, dtype="float32")[y]
        return self.mix(rng, x, y) if self.mix else (x, y)

    def _score(self, x):
        return sum(weight * self._as_it_is(v) for weight, v in self.views(x))

    def _as_it_is(self, x):
        return np.asarray(self.model.predict_on_batch(x), "float32")


class _Watch(keras.callbacks.CallbackList):
    """Counts fit's steps. A list of its own: Keras' would turn every step's loss into a number, and so wait for it."""

    def __init__(self, run, step, after):
        super().__init__(add_history=True, model=run.model)
        self.run, self.begun, self.step, self.after = run, step, step, after

    def on_epoch_begin(self, epoch, logs=None):
        if waiting := self.run._waiting:
            means = waiting[1 : 1 + int(waiting[0])]
            for variable, value in zip(self.model.metrics_variables, means, strict=True):
                variable.assign(value)

    def on_train_batch_begin(self, batch, logs=None):
        if waiting := self.run._waiting:
            backend.set_dice(waiting[1 + int(waiting[0]) :])
            self.run._waiting = None

    def on_train_batch_end(self, batch, logs=None):
        before, self.step = self.step, self.begun + batch + 1
        if self.step % self.run.every and self.step < self.run.steps:
            self.after(self.step, loss=float(logs["loss"]) if self.step // LOOK > before // LOOK else None)
            return
        backend.synced(self.model)
        curves = {name: float(value) for name, value in self.model.get_metrics_result().items()}
        with backend.averages_tried(self.model):
            curves |= self.run.measure(self.run._as_it_is)
        self.model.reset_metrics()
        self.after(self.step, curves)

    on_epoch_end = on_train_end = lambda self, *args, **kwargs: None


def _placed(change):
    """An augmentation that is told which image is which in which epoch, if it asks."""
    wanted = {"index", "epoch"} & set(inspect.signature(change).parameters)
    return lambda rng, x, **where: change(rng, x, **{name: where[name] for name in wanted})


def _loss(value, where):
    made = function(value, where)
    return build(value, where) if isinstance(getattr(made, "func", made), type) else made


def _float(images):
    return np.asarray(images, "float32")


def load(given, validate=False):
    """The examples that a recipe's ``data`` names: a ``data.Dataset``, or a folder's images in its place."""
    d = Data.check(given, "data")
    if d.folder:
        return _pictures(d, validate)
    held = d.hold_out or validate
    found = data.load(d.name, test_images=0 if held else d.test_images)
    if not held:
        return found
    if not validate:
        return found.held_out(d.hold_out)
    out = d.hold_out or 0  # what the recipe tests on is test images to one that is being chosen
    sixth = (len(found.train) - out) // 6
    found = found.held_out(out + sixth)
    split = f"training images only: the first {len(found.train):,} / the {'next' if out else 'last'} {sixth:,}"
    return dataclasses.replace(found, test=data.Examples(*found.test[:sixth]), split=split)


@dataclasses.dataclass(frozen=True, eq=False)
class Pictures:
    """A folder's images in the place of a ``data.Dataset``; what could not be read is in ``damaged``."""

    name: str
    train: Any
    test: Any
    classes: tuple[str, ...]
    split: str
    sha256: str

    @property
    def damaged(self):
        return self.train.source.damaged | self.test.source.damaged


class _Some:
    """Some of a source's examples."""

    def __init__(self, source, numbers):
        self.source, self.numbers = source, numbers

    def __len__(self):
        return len(self.numbers)

    def __getitem__(self, i):
        return self.source[self.numbers[i]]


def _pictures(d, validate):
    source, digest = folders.images(d.folder, d.size), hashlib.sha256()
    numbers = np.random.default_rng(0).permutation(len(source))  # a folder lists one class behind the other
    held = d.hold_out or 0
    count = (len(source) - held) // 6 if validate else held
    kept = len(source) - held - count * validate
    if kept < 1 or (validate and count < 1):
        raise RecipeError(f"data.hold_out must leave images to train on, got {held} of {len(source):,} in {d.folder}")
    train, test, split = _Some(source, numbers[:kept]), _Some(source, numbers[kept : kept + count]), f"{count:,} others"
    if d.test_folder and not validate:
        tested = folders.images(d.test_folder, d.size)
        if tested.classes != source.classes:
            raise RecipeError(f"data.test_folder must have the classes of {d.folder}, {', '.join(source.classes)}, got "
                              f"{', '.join(tested.classes)}")  # fmt: skip
        test, split = _Some(tested, np.arange(len(tested))), f"{len(tested):,} in {tested.path.name}"
    for part in (source, test.source):
        digest.update(repr((part.classes, part._ends.tolist())).encode() + part._names)
    return Pictures(Path(d.folder).name, train, test, source.classes, f"{kept:,} images of a folder / {split}",
                    digest.hexdigest())  # fmt: skip
