"""The long runs of the book, each a recipe: network, data, optimiser, epochs, seeds. ``training.train`` cooks them.

A recipe is chosen on the last 10,000 training images (``train(..., validate=True)``); the test images are for the
record alone. Where a recipe departs from its paper, ``departures`` says so.
"""

from cnnbook import distortions, learners, models
from cnnbook.boltzmann import DeepBeliefNetwork

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import keras
import numpy as np


@dataclass(frozen=True)
class Recipe:
    """What ``training.train`` needs to know.

    network     builds the model, uncompiled; a deep belief network takes a NumPy generator
    data        a name that ``data.load`` knows
    prepare     images as published -> float32 ``(batch, ...)`` for the network; with columns: (images, column)
    optimizer   number of steps -> Keras optimiser
    loss        a Keras loss of (label, output)
    distort     (generator, prepared images) -> images to train on, anew each epoch; None: the images as they are
    columns     one value a run, given to ``prepare``: the runs are then one committee, its outputs averaged
    learner     how an epoch is learnt (learners.py); default: by Keras' ``fit``. Some need no optimiser and no loss
    """

    name: str
    description: str
    network: Callable
    data: str
    prepare: Callable
    optimizer: Callable[[int], keras.optimizers.Optimizer] | None
    loss: Callable | None
    epochs: int
    batch_size: int
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    distort: Callable | None = None
    columns: tuple = ()
    learner: Callable = learners.Fit
    paper: dict = field(default_factory=dict)
    departures: str = ""


def lenet_input(images):
    """MNIST as LeNet-5 reads it: 32x32, paper -0.1 and ink 1.175 (LeCun et al. 1998, sec. II.B)."""
    framed = np.pad(images, ((0, 0), (2, 2), (2, 2))).astype("float32")
    return (framed / 255 * 1.275 - 0.1)[..., None]


def column_input(images, width):
    """MNIST as a column of the committee reads it: 29x29, ink ``width`` pixels wide (None: as it is), in -1..1."""
    framed = np.pad(images, ((0, 0), (0, 1), (0, 1))).astype("float32") / 255
    if width is not None:
        framed = distortions.normalise_width(framed, width)
    return (framed * 2 - 1)[..., None]


def rows_input(images):
    """MNIST as a deep belief network reads it: rows of 784 values, paper 0 and ink 1."""
    return images.reshape(len(images), -1).astype("float32") / 255


def distorted(rng, images, **amounts):
    """``distortions.distort`` on ``(batch, height, width, 1)``."""
    return distortions.distort(rng, images[..., 0], **amounts)[..., None]


def adam(steps, rate, **kwargs):
    """Adam whose learning rate falls from ``rate`` to zero along half a cosine."""
    return keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(rate, steps), **kwargs)


@keras.saving.register_keras_serializable("cnnbook")
def map_criterion(labels, scores):
    """The paper's loss on negative squared distances: equation 9 of LeCun et al. (1998), with j = 1.

    Pull the right distance down and push the others up, together with a rubbish class at the constant distance j.
    """
    ops = keras.ops
    labels = ops.cast(ops.reshape(labels, (-1,)), "int32")
    right = ops.sum(ops.one_hot(labels, 10, dtype=scores.dtype) * scores, axis=-1)
    rubbish = -ops.ones_like(scores[:, :1])
    return ops.logsumexp(ops.concatenate([scores, rubbish], axis=-1), axis=-1) - right


_cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
_lenet_departures = (
    "Adam with a falling learning rate in place of the paper's stochastic diagonal Levenberg-Marquardt; the "
    "MAP criterion as in the paper"
)

RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            "lenet5-mnist", "LeNet-5 on MNIST as the paper trained it, no distortions",
            models.lenet5, "mnist", lenet_input, partial(adam, rate=1e-3), map_criterion, epochs=20, batch_size=32,
            paper={"metric": "test_error", "value": 0.0095, "source": "LeCun1998"}, departures=_lenet_departures,
        ),
        Recipe(
            "lenet5-mnist-distorted", "LeNet-5 on MNIST with randomly distorted training digits",
            models.lenet5, "mnist", lenet_input, partial(adam, rate=1e-3), map_criterion, epochs=24, batch_size=32,
            distort=partial(distorted, rotate=6, scale=0.1, shear=0.1, shift=1, sigma=5, alpha=15, background=-0.1),
            paper={"metric": "test_error", "value": 0.008, "source": "LeCun1998"}, departures=_lenet_departures,
        ),
        Recipe(
            "committee-mnist", "A committee of seven nets on MNIST, one for each width of the digits",
            models.modern_column, "mnist", column_input, partial(adam, rate=2e-3), _cross_entropy,
            epochs=10, batch_size=128, seeds=(0, 1, 2, 3, 4, 5, 6), columns=(10, 12, 14, 16, 18, 20, None),
            distort=partial(distorted, rotate=10, scale=0.12, shear=0.1, shift=1.5, sigma=5, alpha=20, background=-1.0),
            paper={"metric": "test_error", "value": 0.0023, "source": "Ciresan2012"},
            departures="seven columns in place of 35; 3x3 convolutions with batch normalisation and ReLU, Adam and 10 "
            "epochs in place of the paper's larger kernels, tanh and 800 epochs",
        ),
        Recipe(
            "dbn-mnist", "The deep belief network of 2006 on MNIST: a stack of machines, then the up-down algorithm",
            partial(DeepBeliefNetwork, (784, 500, 500, 2000), 10), "mnist", rows_input, None, None,
            epochs=140, batch_size=100, seeds=(0, 1, 2),
            learner=partial(learners.UpDown, pretrain=20, cd_rate=0.1, rate=0.1, gibbs=3),
            paper={"metric": "test_error", "value": 0.0125, "source": "Hinton2006"},
            departures="20 epochs for each of the three machines and 80 of the up-down algorithm with 3 Gibbs steps, "
            "in place of 30 and 359 with 3, 6 and 10; batches in random order, not balanced over the digits",
        ),
        Recipe(
            "dbn-mnist-backprop", "A classifier on MNIST that starts as a stack of machines, then backpropagation",
            models.dbn_classifier, "mnist", rows_input, partial(adam, rate=1e-3), _cross_entropy,
            epochs=33, batch_size=100, seeds=(0, 1, 2), learner=partial(learners.Pretrained, pretrain=6, cd_rate=0.1),
            paper={"metric": "test_error", "value": 0.012, "source": "HintonSalakhutdinov2006"},
            departures="6 epochs for each of the three machines and 15 of backpropagation; Adam with a falling "
            "learning rate in place of steepest descent with a small one",
        ),
        Recipe(
            "mlp-mnist", "The classifier of dbn-mnist-backprop, from random weights",
            models.dbn_classifier, "mnist", rows_input, partial(adam, rate=1e-3), _cross_entropy,
            epochs=15, batch_size=100, seeds=(0, 1, 2),
            paper={"metric": "test_error", "value": 0.016, "source": "HintonSalakhutdinov2006"},
            departures="the paper's figure is the best then reported for random weights and any such net; here it is "
            "the very net and optimiser of dbn-mnist-backprop, with its 15 epochs of backpropagation",
        ),
    )
}  # fmt: skip
