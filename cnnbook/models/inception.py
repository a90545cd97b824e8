"""Inception v2 and v3: large kernels as chains of small ones, 5x5 as two 3x3 and 7x7 as 1x7 and 7x1; ILSVRC 2015.

Szegedy, Vanhoucke, Ioffe, Shlens, Wojna: Rethinking the Inception Architecture for Computer Vision, CVPR 2016, table 1
and figures 5 to 7. https://arxiv.org/abs/1512.00567

    input       stem        mixed0..2   mixed3..7   mixed8..10   pool
    299x299x3   35x35x192   35x35x288   17x17x768   8x8x2048     2048      v2's stem ends in 35x35x288

inception_v2 has the stem of table 1; inception_v3 that of the authors' code. With _aux comes the classifier on the way,
behind mixed7; in v3 its last hidden layer is normalised too (section 6, "BN-auxiliary").

Departures: logits, where the paper has a softmax. The paper does not print the modules' filters. These, a 5x5 left in
mixed0 to 2, and 7x1 before 1x7 in the longer branch are from the authors' published code of v3. So are 768 maps in the
auxiliary head where figure 8 has 1024, the dropout of 0.2, and batch normalisation's constants and missing scale.
"""

import keras
from keras import layers

from ._layers import check_image, check_variant, scaled

VARIANTS = ("inception_v2", "inception_v2_aux", "inception_v3", "inception_v3_aux")

STEMS = {  # filters, kernel, stride, padding; None for a 3x3 pooling with stride 2
    "v2": [(32, 3, 2, "valid"), (32, 3, 1, "valid"), (64, 3, 1, "same"), None,       # 149x149, 147x147, 147x147, 73x73
           (80, 3, 1, "valid"), (192, 3, 2, "valid"), (288, 3, 1, "same")],          # 71x71, 35x35, 35x35x288
    "v3": [(32, 3, 2, "valid"), (32, 3, 1, "valid"), (64, 3, 1, "same"), None,       # 149x149, 147x147, 147x147, 73x73
           (80, 1, 1, "valid"), (192, 3, 1, "valid"), None],                         # 73x73, 71x71, 35x35x192
}  # fmt: skip

A, B, SPLIT = (1, 7), (7, 1), ((1, 3), (3, 1))  # SPLIT: two convolutions of one input, side by side


def _figure5(pool):
    return {"1x1": [(64, 1)], "5x5": [(48, 1), (64, 5)], "3x3": [(64, 1), (96, 3), (96, 3)], "pool": [(pool, 1)]}


def _figure6(f):
    return {"1x1": [(192, 1)], "7x7": [(f, 1), (f, A), (192, B)],
            "7x7_twice": [(f, 1), (f, B), (f, A), (f, B), (192, A)], "pool": [(192, 1)]}  # fmt: skip


_FIGURE7 = {"1x1": [(320, 1)], "3x3": [(384, 1), (384, SPLIT)],
            "3x3_twice": [(448, 1), (384, 3), (384, SPLIT)], "pool": [(192, 1)]}  # fmt: skip

MODULES = {  # branches of (filters, kernel) or (filters, kernel, stride 2 without padding)
    "mixed0": _figure5(32),                                                                            # 35x35x256
    "mixed1": _figure5(64),                                                                            # 35x35x288
    "mixed2": _figure5(64),                                                                            # 35x35x288
    "mixed3": {"3x3": [(384, 3, 2)], "3x3_twice": [(64, 1), (96, 3), (96, 3, 2)], "pool": []},         # 17x17x768
    "mixed4": _figure6(128),                                                                           # 17x17x768
    "mixed5": _figure6(160),                                                                           # 17x17x768
    "mixed6": _figure6(160),                                                                           # 17x17x768
    "mixed7": _figure6(192),                                                                           # 17x17x768
    "mixed8": {"3x3": [(192, 1), (320, 3, 2)], "7x7": [(192, 1), (192, A), (192, B), (192, 3, 2)],
               "pool": []},                                                                            # 8x8x1280
    "mixed9": _FIGURE7,                                                                                # 8x8x2048
    "mixed10": _FIGURE7,                                                                               # 8x8x2048
}  # fmt: skip


def conv(x, filters, kernel, name, strides=1, padding="same", normal=True):
    """A convolution, batch normalisation and ReLU."""
    x = layers.Conv2D(filters, kernel, strides, padding, use_bias=not normal, name=name)(x)
    x = layers.BatchNormalization(scale=False, epsilon=1e-3, momentum=0.9997, name=f"{name}_bn")(x) if normal else x
    return layers.ReLU(name=f"{name}_relu")(x)


def mixed(x, branches, width, name):
    """Branches side by side: ``(batch, height, width, channels)`` to the channels of all."""
    ends = []
    for branch, steps in branches.items():
        y = x
        if branch == "pool":
            pool = layers.AveragePooling2D(3, 1, "same", name=f"{name}_pool")
            y = (pool if steps else layers.MaxPooling2D(3, 2, name=f"{name}_pool"))(x)
        for number, (filters, kernel, *stride) in enumerate(steps, start=1):
            filters, place = scaled(filters, width), f"{name}_{branch}_{number}"
            if kernel == SPLIT:
                y = [conv(y, filters, part, f"{place}{letter}") for part, letter in zip(SPLIT, "ab", strict=True)]
            else:
                y = conv(y, filters, kernel, place, *((2, "valid") if stride else ()))
        ends += y if isinstance(y, list) else [y]
    return layers.Concatenate(name=f"{name}_out")(ends)


def auxiliary(x, classes, width, normal):
    """A classifier on the way, whose loss brings the lower layers a gradient."""
    x = layers.AveragePooling2D(5, 3, name="aux_pool")(x)                                              # 5x5x768
    x = conv(x, scaled(128, width), 1, "aux_conv1")
    x = conv(x, scaled(768, width), x.shape[1:3], "aux_conv2", padding="valid", normal=normal)         # 1x1x768
    return layers.Dense(classes, name="aux_output")(layers.Flatten(name="aux_flatten")(x))


def inception(variant="inception_v3", input_shape=(299, 299, 3), classes=1000, width=1.0):
    """An Inception v2 or v3: ``(batch, height, width, channels)`` to ``classes`` logits; with _aux a list of two.

    The smallest image is 75x75, with _aux 107x107. ``width`` multiplies the filters. Raises ValueError for an unknown
    ``variant``, for an ``input_shape`` under that, for ``classes`` < 1, and for a ``width`` that leaves a layer no
    filters.
    """
    check_variant(variant, VARIANTS)
    version, aux = variant.split("_")[1], variant.endswith("_aux")
    why = "the auxiliary head needs 5x5 at mixed7" if aux else "the strides without padding use up what is smaller"
    check_image(input_shape, classes, 107 if aux else 75, why)
    x = inputs = keras.Input(input_shape)
    for number, step in enumerate(STEMS[version], start=1):
        if step is None:
            x = layers.MaxPooling2D(3, 2, name=f"stem_pool{number}")(x)
        else:
            x = conv(x, scaled(step[0], width), step[1], f"stem_conv{number}", *step[2:])
    modules = MODULES if version == "v3" else MODULES | {"mixed0": _figure5(64)}                       # 35x35x288
    outputs = []
    for name, branches in modules.items():
        x = mixed(x, branches, width, name)
        if aux and name == "mixed7":
            outputs.append(auxiliary(x, classes, width, version == "v3"))
    x = layers.GlobalAveragePooling2D(name="pool_out")(x)
    x = layers.Dense(classes, name="output")(layers.Dropout(0.2, name="dropout")(x))
    return keras.Model(inputs, [x, *outputs] if aux else x, name=variant)
