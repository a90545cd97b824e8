"""The weights of keras.applications, carried into the networks of this book.

``MAPS`` says for each network which of theirs it is, and which of their layers each of ours takes its weights from. A
layer of theirs that has no name of its own is called by its kind and its place: conv2d#0 is the first that they make.
Where their convolution has a bias that ours leaves to batch normalisation, or their normalisation another epsilon, our
statistics take these up, exactly.
"""

from cnnbook import models

import re

import keras
import numpy as np
from keras import applications

_VGG = [(r"stage(\d)_conv(\d)", r"block\1_conv\2"), ("fc6", "fc1"), ("fc7", "fc2"), ("output", "predictions")]
_RESNET = [
    ("stem_conv", "conv1_conv"), ("stem_conv_bn", "conv1_bn"), ("output", "predictions"),
    (r"stage(\d)_block(\d+)_(?:conv(\d)|shortcut)(_bn)?",
     lambda m: f"conv{int(m[1]) + 1}_block{m[2]}_{m[3] or 0}_{'bn' if m[4] else 'conv'}"),
]  # fmt: skip

MAPS = {  # theirs, and pairs (our layer's name, theirs) as for re.sub; the first that matches the whole name holds
    "vgg16": (applications.VGG16, _VGG),
    "vgg19": (applications.VGG19, _VGG),
    "resnet50": (applications.ResNet50, _RESNET),
    "resnet101": (applications.ResNet101, _RESNET),
    "resnet152": (applications.ResNet152, _RESNET),
}


def from_applications(name, weights="imagenet"):
    """Our network with the weights of keras.applications: a ``keras.Model`` that gives the logits of 1000 classes.

    Args:
        name: One of ``MAPS``.
        weights: "imagenet", which Keras downloads once, the path of a file of theirs, or None for a random start.

    Raises:
        ValueError: ``name`` is not among ``MAPS``, or ``weights`` is neither "imagenet" nor None nor a file.
    """
    theirs, ours = application(name, weights), models.NETWORKS[name]()
    carry(theirs, ours, name)
    return ours


def application(name, weights=None):
    """The network of keras.applications that our ``name`` is; it gives logits too."""
    if name not in MAPS:
        raise ValueError(f"name must be one of {', '.join(MAPS)}, got {name!r}")
    return MAPS[name][0](weights=weights, classifier_activation=None)


def carry(theirs, ours, name):
    """Copy the weights of ``theirs``, from keras.applications, into ``ours``, by the map of ``name``.

    Raises:
        ValueError: A layer of one has no partner in the other, or one of another shape. Then ``ours`` is as it was.
    """
    known = _named(theirs)
    pairs = {}  # our layer's name: the layer of theirs
    for layer in ours.layers:
        if layer.weights:
            partner = their_name(layer.name, name)
            if partner not in known:
                raise ValueError(f"theirs must have the layer {partner}, for our {layer.name}, and has not")
            pairs[layer.name] = known.pop(partner)
    if known:
        raise ValueError(f"ours must have a layer for each of theirs, and has none for {', '.join(known)}")
    values = [pair for layer in ours.layers if layer.weights for pair in _values(layer, pairs, ours)]
    for weight, value in values:
        weight.assign(value)


def their_name(layer, name):
    """The name in keras.applications of the layer that ``layer`` of our network ``name`` takes its weights from."""
    for pattern, replacement in MAPS[name][1]:
        if re.fullmatch(pattern, layer):
            return re.sub(pattern, replacement, layer)
    return layer


def _named(model):
    """The layers with weights, nested ones too, by name; the scaling of the input has its place in preprocess()."""
    parts = [x for x in model._flatten_layers(include_self=False) if x.weights and not isinstance(x, keras.Sequential)]
    parts = [x for x in parts if not isinstance(x, keras.layers.Normalization)]
    unnamed = {}  # Keras numbers layers without a name through the whole session
    for part in parts:
        if found := re.fullmatch(r"(conv2d|batch_normalization)(?:_(\d+))?", part.name):
            unnamed[part.name] = (found[1], int(found[2] or 0))
    order = sorted(unnamed, key=unnamed.get)
    firsts = {}
    for name in order:
        kind = unnamed[name][0]
        firsts[kind] = firsts.get(kind, -1) + 1
        unnamed[name] = f"{kind}#{firsts[kind]}"
    return {unnamed.get(part.name, part.name): part for part in parts}


def _values(layer, pairs, ours):
    """Pairs (weight of our layer, its value)."""
    theirs = pairs[layer.name]
    found = {weight.name: keras.ops.convert_to_numpy(weight) for weight in theirs.weights}
    if isinstance(layer, keras.layers.BatchNormalization):
        before = layer.name.removesuffix("_bn")
        if before in pairs and getattr(pairs[before], "use_bias", False) and not ours.get_layer(before).use_bias:
            found["moving_mean"] = found["moving_mean"] - keras.ops.convert_to_numpy(pairs[before].bias)
        found["moving_variance"] = found["moving_variance"] + (theirs.epsilon - layer.epsilon)
    for weight in layer.weights:
        value = next(iter(found.values())) if len(found) == 1 else found.get(weight.name, np.empty(0))
        if [n for n in value.shape if n > 1] != [n for n in weight.shape if n > 1]:  # a 1x1 kernel is a matrix
            raise ValueError(f"theirs must fit ours: {weight.path} is {tuple(weight.shape)}, theirs {value.shape}")
        yield weight, np.reshape(value, weight.shape)
