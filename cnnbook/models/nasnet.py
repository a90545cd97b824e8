"""NASNet-A: two cells that another network found on CIFAR-10 by trial and reward, stacked for ImageNet; 2018.

Zoph, Vasudevan, Shlens, Le: Learning Transferable Architectures for Scalable Image Recognition, CVPR 2018, figures 2
and 4, NASNet-A (4 @ 1056) of table 3. https://arxiv.org/abs/1707.07012

    input       stem_conv    stem_cell1   stem_cell2   stage1      stage2      stage3     average
    224x224x3   111x111x32   56x56x44     28x28x88     28x28x264   14x14x528   7x7x1056   1056

Each cell reads the outputs of the two before it: x, brought to the cell's filters by a 1x1 convolution, and p.

Departures: logits, where the paper has a softmax. No auxiliary classifier for training; the paper's counts are without
it. From the authors' code: the stem's convolution is not padded, a normal cell passes p on beside its sums, and the
dropout is 0.5. Batch normalisation averages over Keras' number of steps (momentum 0.99), theirs over more (0.9997).
From keras.applications, whose weights fit: a reduction cell pools over zeros beyond the edge, where the
authors' code leaves them out.
"""

import keras
from keras import layers

from ._layers import check_image, check_variant, scaled

VARIANTS = ("nasnet_mobile",)

NORMAL = (  # figure 4: sums of two operations, each (kind, kernel, what it reads): x, p, or the sum of that number
    (("sep", 5, "x"), ("sep", 3, "p")),       # 1
    (("sep", 5, "p"), ("sep", 3, "p")),       # 2
    (("avg", 3, "x"), ("identity", 1, "p")),  # 3
    (("avg", 3, "p"), ("avg", 3, "p")),       # 4
    (("sep", 3, "x"), ("identity", 1, "x")),  # 5
)  # fmt: skip

REDUCTION = (  # x and p are read with strides of 2
    (("sep", 5, "x"), ("sep", 7, "p")),       # 1
    (("max", 3, "x"), ("sep", 7, "p")),       # 2
    (("avg", 3, "x"), ("sep", 5, "p")),       # 3
    (("identity", 1, 2), ("avg", 3, 1)),      # 4
    (("sep", 3, 1), ("max", 3, "x")),         # 5
)  # fmt: skip


def operation(x, kind, kernel, strides, filters, name):
    """One of the cell's operations; the separable convolutions come in twos, each after a ReLU."""
    if kind == "sep":
        for number, step in ((1, strides), (2, 1)):
            x = layers.ReLU(name=f"{name}_relu{number}")(x)
            x = layers.SeparableConv2D(filters, kernel, step, "same", use_bias=False, name=f"{name}_conv{number}")(x)
            x = layers.BatchNormalization(name=f"{name}_conv{number}_bn")(x)
    if kind in ("avg", "max"):
        if strides == 2:  # as many zeros as "same" puts there, so that windows begin alike
            x = layers.ZeroPadding2D([(n % 2, 1) for n in x.shape[1:3]], name=f"{name}_pad")(x)
        pooling = layers.AveragePooling2D if kind == "avg" else layers.MaxPooling2D
        x = pooling(kernel, strides, "valid" if strides == 2 else "same", name=name)(x)
    return x


def fitted(p, x, filters, name):
    """p with the size of x and ``filters`` channels; of a larger p half read its pixels 0, 2, ..., half 1, 3, ..."""
    if p.shape[1:] == (*x.shape[1:3], filters):
        return p
    y = layers.ReLU(name=f"{name}_relu")(p)
    if p.shape[1:3] == x.shape[1:3]:
        y = layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_conv")(y)
    else:
        shifted = layers.ZeroPadding2D(((0, 1), (0, 1)), name=f"{name}_pad")(y)
        shifted = layers.Cropping2D(((1, 0), (1, 0)), name=f"{name}_crop")(shifted)
        first = layers.Conv2D(filters // 2, 1, 2, use_bias=False, name=f"{name}_conv1")(y)
        second = layers.Conv2D(filters // 2, 1, 2, use_bias=False, name=f"{name}_conv2")(shifted)
        y = layers.Concatenate(name=f"{name}_concat")([first, second])
    return layers.BatchNormalization(name=f"{name}_bn")(y)


def cell(x, p, table, filters, name):
    """A normal cell gives ``6 * filters`` channels, a reduction ``4 * filters`` and half the height and width."""
    p = x if p is None else fitted(p, x, filters, f"{name}_p")
    x = layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_x_conv")(layers.ReLU(name=f"{name}_x_relu")(x))
    found = {"x": layers.BatchNormalization(name=f"{name}_x_conv_bn")(x), "p": p}
    for number, pair in enumerate(table, start=1):
        terms = [
            operation(found[reads], kind, kernel, 2 if table is REDUCTION and reads in ("x", "p") else 1,
                      filters, f"{name}_sum{number}_{side}")
            for side, (kind, kernel, reads) in zip(("left", "right"), pair, strict=True)
        ]  # fmt: skip
        found[number] = layers.Add(name=f"{name}_sum{number}")(terms)
    passed = (2, 3, 4, 5) if table is REDUCTION else ("p", 1, 2, 3, 4, 5)
    return layers.Concatenate(name=f"{name}_out")([found[which] for which in passed])


def nasnet(variant="nasnet_mobile", input_shape=(224, 224, 3), classes=1000, width=1.0):
    """A NASNet-A: ``(batch, height, width, channels)``, 3x3 or larger, to ``classes`` logits.

    ``width`` multiplies the filters of each layer: 11 in the first cell, twice to sixteen times as many in the others.
    Raises ValueError for an unknown ``variant``, for an ``input_shape`` under that, for ``classes`` < 1, and for a
    ``width`` that leaves a layer no filters.
    """
    check_variant(variant, VARIANTS)
    check_image(input_shape, classes, 3, "the stem's 3x3 convolution is not padded")
    least = scaled(11, width)
    p, x = None, (inputs := keras.Input(input_shape))
    x = layers.Conv2D(scaled(32, width), 3, 2, use_bias=False, name="stem_conv")(x)
    x = layers.BatchNormalization(name="stem_conv_bn")(x)                                              # 111x111x32
    x, p = cell(x, p, REDUCTION, least, "stem_cell1"), x                                               # 56x56x44
    x, p = cell(x, p, REDUCTION, 2 * least, "stem_cell2"), x                                           # 28x28x88
    for stage, filters in ((1, 4 * least), (2, 8 * least), (3, 16 * least)):
        if stage > 1:
            x, p = cell(x, p, REDUCTION, filters, f"stage{stage}_reduction"), x                        # 14x14, 7x7
        for number in range(1, 5):
            x, p = cell(x, p, NORMAL, filters, f"stage{stage}_cell{number}"), x
    x = layers.GlobalAveragePooling2D(name="average_out")(layers.ReLU(name="average_relu")(x))         # 1056
    x = layers.Dense(classes, name="output")(layers.Dropout(0.5, name="dropout")(x))
    return keras.Model(inputs, x, name=variant)
