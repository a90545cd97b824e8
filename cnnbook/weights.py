"""The weights of keras.applications, carried into the networks of this book.

``MAPS`` says for each network which of theirs it is, and which of their layers each of ours takes its weights from. A
layer of theirs that has no name of its own is called by its kind and its place: conv2d#0 is the first that they make.
Where their convolution has a bias that ours leaves to batch normalisation, or their normalisation another epsilon, our
statistics take these up, exactly.
"""

from cnnbook import models
from cnnbook.models.inception import MODULES as _INCEPTION_MODULES

import os
import re
import tempfile
from pathlib import Path

import keras
import numpy as np
from keras import applications

_VGG = [(r"stage(\d)_conv(\d)", r"block\1_conv\2"), ("fc6", "fc1"), ("fc7", "fc2"), ("output", "predictions")]
_RESNET = [
    ("stem_conv", "conv1_conv"), ("stem_conv_bn", "conv1_bn"), ("output", "predictions"),
    (r"stage(\d)_block(\d+)_(?:conv(\d)|shortcut)(_bn)?",
     lambda m: f"conv{int(m[1]) + 1}_block{m[2]}_{m[3] or 0}_{'bn' if m[4] else 'conv'}"),
]  # fmt: skip
_INCEPTION_CONVOLUTIONS = [f"stem_conv{number}" for number in (1, 2, 3, 5, 6)] + [
    f"{module}_{branch}_{number}{part}"
    for module, branches in _INCEPTION_MODULES.items() for branch, steps in branches.items()
    for number, (_, kernel, *_) in enumerate(steps, start=1)
    for part in ("ab" if isinstance(kernel, tuple) and isinstance(kernel[0], tuple) else [""])
]  # fmt: skip
_INCEPTION = [("output", "predictions")] + [
    pair for number, name in enumerate(_INCEPTION_CONVOLUTIONS)
    for pair in ((name, f"conv2d#{number}"), (f"{name}_bn", f"batch_normalization#{number}"))
]  # fmt: skip
_DENSENET = [
    ("stem_conv", "conv1_conv"), ("stem_conv_bn", "conv1_bn"), ("final_bn", "bn"), ("output", "predictions"),
    (r"stage(\d)_layer(\d+)_conv1_bn", lambda m: f"conv{int(m[1]) + 1}_block{m[2]}_0_bn"),
    (r"stage(\d)_layer(\d+)_conv2_bn", lambda m: f"conv{int(m[1]) + 1}_block{m[2]}_1_bn"),
    (r"stage(\d)_layer(\d+)_conv(\d)", lambda m: f"conv{int(m[1]) + 1}_block{m[2]}_{m[3]}_conv"),
    (r"transition(\d)_conv(_bn)?", lambda m: f"pool{int(m[1]) + 1}_{'bn' if m[2] else 'conv'}"),
]  # fmt: skip
_XCEPTION = [("output", "predictions")] + [
    pair for number, block in enumerate((2, 3, 4, 13))
    for pair in ((f"block{block}_shortcut", f"conv2d#{number}"),
                 (f"block{block}_shortcut_bn", f"batch_normalization#{number}"))
]  # fmt: skip
_MOBILENET_V1 = [
    (r"stem_conv(_bn)?", r"conv1\1"), ("output", "conv_preds"),
    (r"block(\d+)_depthwise(_bn)?", r"conv_dw_\1\2"), (r"block(\d+)_pointwise(_bn)?", r"conv_pw_\1\2"),
]  # fmt: skip
_FIRST = (0, 0, 1, 3, 6, 10, 13, 16)  # the number of a stage's first block in keras.applications
_MOBILENET_V2 = [
    ("stem_conv", "Conv1"), ("stem_conv_bn", "bn_Conv1"), ("head_conv", "Conv_1"), ("head_conv_bn", "Conv_1_bn"),
    ("output", "predictions"),
    (r"stage1_block1_(depthwise|project)", r"expanded_conv_\1"),
    (r"stage1_block1_(depthwise|project)_bn", r"expanded_conv_\1_BN"),
    (r"stage(\d)_block(\d)_(expand|depthwise|project)(_bn)?",
     lambda m: f"block_{_FIRST[int(m[1])] + int(m[2]) - 1}_{m[3]}{'_BN' if m[4] else ''}"),
]  # fmt: skip
_MOBILENET_V3 = [
    ("stem_conv(_bn)?", r"conv\1"), ("head_conv(_bn)?", r"conv_1\1"), ("head_out", "conv_2"), ("output", "logits"),
    (r"block(\d+)_se_(reduce|excite)", lambda m: f"{_expanded(m[1])}squeeze_excite_conv{'_1' * (m[2] == 'excite')}"),
    (r"block(\d+)_(expand|depthwise|project)(_bn)?", lambda m: f"{_expanded(m[1])}{m[2]}{m[3] or ''}"),
]  # fmt: skip
_IN_EFFICIENTNET = {
    "expand": "expand_conv", "expand_bn": "expand_bn", "depthwise": "dwconv", "depthwise_bn": "bn",
    "project": "project_conv", "project_bn": "project_bn", "se_reduce": "se_reduce", "se_excite": "se_expand",
}  # fmt: skip
_EFFICIENTNET = [
    ("stage1_conv", "stem_conv"), ("stage1_conv_bn", "stem_bn"), ("output", "predictions"),
    ("stage9_conv", "top_conv"), ("stage9_conv_bn", "top_bn"),
    (r"stage(\d)_block(\d+)_(\w+)",
     lambda m: f"block{int(m[1]) - 1}{chr(96 + int(m[2]))}_{_IN_EFFICIENTNET[m[3]]}"),
]  # fmt: skip
_NASNET = [
    ("stem_conv", "stem_conv1"), ("stem_conv_bn", "stem_bn1"), ("output", "predictions"),
    (r"(?:stem_cell(\d)|stage(\d)_(?:reduction|cell(\d)))_(sum(\d)_(left|right)_conv(\d)|x_conv|p_conv\d?|p)(_bn)?",
     lambda m: _in_nasnet(*m.groups())),
]  # fmt: skip
_IN_CONVNEXT = {"depthwise": "depthwise_conv", "depthwise_ln": "layernorm", "expand": "pointwise_conv_1",
                "project": "pointwise_conv_2", "scale": "layer_scale"}  # fmt: skip


def _expanded(block):
    return "expanded_conv_" + f"{int(block) - 1}_" * (block != "1")


def _in_nasnet(stem, stage, cell, part, pair, side, conv, bn):
    """Theirs for a layer of a cell: they number the normal cells through all stages, and end on which cell it is."""
    kind, before = "normal" if cell else "reduction", 4 * (int(stage or 1) - 1)
    which = f"stem_{stem}" if stem else f"{before + int(cell) - (stage == '1')}" if cell else f"reduce_{before}"
    if pair:
        side = "left4" if kind == "reduction" and pair == "5" else side + pair  # sic
        return f"separable_conv_{conv}{bn or ''}_{kind}_{side}_{which}"
    if part == "x_conv":
        return f"{kind}_{'bn' if bn else 'conv'}_1_{which}"
    return {"p_conv": "adjust_conv_projection", "p": "adjust_bn"}.get(part, f"adjust_conv_{part[-1]}") + f"_{which}"


def _convnext(name):
    return [
        ("stem_conv", f"{name}_stem_conv"), ("stem_out", f"{name}_stem_layernorm"),
        ("average_out", f"{name}_head_layernorm"), ("output", f"{name}_head_dense"),
        (r"stage(\d)_halve(_ln)?",
         lambda m: f"{name}_downsampling_{'layernorm' if m[2] else 'conv'}_{int(m[1]) - 2}"),
        (r"stage(\d)_block(\d+)_(\w+)",
         lambda m: f"{name}_stage_{int(m[1]) - 1}_block_{int(m[2]) - 1}_{_IN_CONVNEXT[m[3]]}"),
    ]  # fmt: skip


# Theirs, how its pixels are scaled, and pairs (our layer's name, theirs) as for re.sub; the first that matches all of
# the name holds.
MAPS = {
    "vgg16": (applications.VGG16, "caffe", _VGG),
    "vgg19": (applications.VGG19, "caffe", _VGG),
    "inception_v3": (applications.InceptionV3, "tf", _INCEPTION),
    "resnet50": (applications.ResNet50, "caffe", _RESNET),
    "resnet101": (applications.ResNet101, "caffe", _RESNET),
    "resnet152": (applications.ResNet152, "caffe", _RESNET),
    "densenet121": (applications.DenseNet121, "torch", _DENSENET),
    "densenet169": (applications.DenseNet169, "torch", _DENSENET),
    "densenet201": (applications.DenseNet201, "torch", _DENSENET),
    "xception": (applications.Xception, "tf", _XCEPTION),
    "mobilenet_v1": (applications.MobileNet, "tf", _MOBILENET_V1),
    "mobilenet_v2": (applications.MobileNetV2, "tf", _MOBILENET_V2),
    "mobilenet_v3_small": (applications.MobileNetV3Small, "tf", _MOBILENET_V3),
    "mobilenet_v3_large": (applications.MobileNetV3Large, "tf", _MOBILENET_V3),
    **{f"efficientnet_b{n}": (getattr(applications, f"EfficientNetB{n}"), "torch", _EFFICIENTNET) for n in range(8)},
    "nasnet_mobile": (applications.NASNetMobile, "tf", _NASNET),
    **{f"convnext_{size}": (getattr(applications, f"ConvNeXt{size.title()}"), "torch", _convnext(f"convnext_{size}"))
       for size in ("tiny", "small", "base", "large")},
}  # fmt: skip
MAPS["mobilenet_v3"] = MAPS["mobilenet_v3_large"]

ENDINGS = (".keras", ".weights.h5")  # of the files that convert() writes


def from_applications(name, weights="imagenet"):
    """Our network with the weights of keras.applications: a ``keras.Model`` that gives the logits of 1000 classes.

    Its input is what :func:`preprocess` makes of pixels.

    Args:
        name: One of ``MAPS``.
        weights: "imagenet", which Keras downloads once, the path of a file of theirs, or None for a random start.

    Raises:
        ValueError: ``name`` is not among ``MAPS``, or ``weights`` is neither "imagenet" nor None nor a file.
    """
    theirs, ours = application(name, weights), models.NETWORKS[name]()
    carry(theirs, ours, name)
    return ours


def convert(name, path, weights="imagenet"):
    """Write our network with the weights of keras.applications to a file, whole or not at all; returns the network.

    What was written is read again and compared, weight by weight. A file that is there is replaced.

    Args:
        name: One of ``MAPS``.
        path: Ends in ".keras" for the whole model, or in ".weights.h5" for its weights alone.
        weights: As for :func:`from_applications`.

    Raises:
        ValueError: As :func:`from_applications`, and where ``path`` ends in neither, or what was read is not the same.
        OSError: The file cannot be written; found out before the weights are fetched.
    """
    _check(name)
    check_weights(weights)
    path, ending = Path(os.path.realpath(os.path.expanduser(path))), check_ending(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        held = tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise OSError(f"path must be a file that can be written, got {str(path)!r}: {error.strerror}") from error
    with held as folder:
        if path.is_dir():
            raise OSError(f"path must be a file, got the folder {str(path)!r}")
        ours = from_applications(name, weights)
        written = Path(folder) / f"model{ending}"
        if ending == ".keras":
            ours.save(written)
            read = keras.models.load_model(written)
        else:
            ours.save_weights(written)
            read = models.NETWORKS[name]()
            read.load_weights(written)
        for old, new in zip(ours.weights, read.weights, strict=True):
            if "seed" not in old.path and not np.array_equal(*map(keras.ops.convert_to_numpy, (old, new))):
                raise ValueError(f"path must hold what was written, got another {new.path} from {str(path)!r}")
        os.replace(written, path)
    return ours


def check_ending(path):
    """Which of ``ENDINGS`` the file has; raises a ValueError unless it has one of them, behind a name."""
    for ending in ENDINGS:
        if str(path).endswith(ending) and os.path.basename(path) != ending:
            return ending
    raise ValueError(f"path must end in {' or '.join(ENDINGS)}, got {str(path)!r}")


def application(name, weights=None, **arguments):
    """The network of keras.applications that our ``name`` is; it gives logits too."""
    _check(name)
    check_weights(weights)
    weights = weights and os.path.expanduser(weights)
    return MAPS[name][0](weights=weights, classifier_activation=None, **arguments)


def check_weights(weights):
    """Raise a ValueError unless ``weights`` is "imagenet", None or the path of a file."""
    file = isinstance(weights, str | Path) and os.path.isfile(os.path.expanduser(weights))
    if not (file or weights is None or (isinstance(weights, str) and weights == "imagenet")):
        raise ValueError(f'weights must be "imagenet", None or a file, got {weights!r}')


def preprocess(name, pixels):
    """Pixels from 0 to 255, ``(batch, height, width, 3)`` in the order red, green, blue, as the network was trained on.

    Raises:
        ValueError: ``name`` is not among ``MAPS``, or ``pixels`` have another shape.
    """
    _check(name)
    pixels = np.asarray(pixels, "float32")
    if pixels.ndim != 4 or pixels.shape[-1] != 3:
        raise ValueError(f"pixels must have the shape (batch, height, width, 3), got {pixels.shape}")
    return applications.imagenet_utils.preprocess_input(pixels.copy(), mode=MAPS[name][1])


def _check(name):
    if not isinstance(name, str) or name not in MAPS:
        raise ValueError(f"name must be one of {', '.join(MAPS)}, got {name!r}")


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
    for pattern, replacement in MAPS[name][2]:
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
