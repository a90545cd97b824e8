"""Class labels: what is minimised and what is measured."""

import keras
import numpy as np


def error(scores, labels):
    """The share of examples whose largest score, ``(batch, classes)``, is not at their label."""
    return float(np.mean(np.argmax(scores, axis=-1) != _index(labels)))


def top5_error(scores, labels):
    """The share of examples whose label is not among the five largest scores."""
    best = np.argpartition(scores, -5, axis=-1)[:, -5:]
    return float(np.mean(~np.any(best == _index(labels)[:, None], axis=-1)))


def _index(labels):
    return np.argmax(labels, axis=-1) if np.ndim(labels) == 2 else np.asarray(labels)


@keras.saving.register_keras_serializable("cnnbook")
def map_criterion(labels, scores):
    """LeNet-5's loss on negative squared distances: equation 9 of LeCun et al. (1998), with j = 1.

    Pull the right distance down and push the others up, together with a rubbish class at the constant distance j.
    """
    ops = keras.ops
    labels = ops.cast(ops.reshape(labels, (-1,)), "int32")
    right = ops.sum(ops.one_hot(labels, 10, dtype=scores.dtype) * scores, axis=-1)
    rubbish = -ops.ones_like(scores[:, :1])
    return ops.logsumexp(ops.concatenate([scores, rubbish], axis=-1), axis=-1) - right
