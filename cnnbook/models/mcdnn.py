"""Columns of a multi-column network for MNIST: several nets see the same digits, each in its own way.

Ciresan, Meier, Schmidhuber, Multi-column Deep Neural Networks for Image Classification, CVPR 2012, section 3.1.
https://doi.org/10.1109/CVPR.2012.6248110

    input     C1         M1         C2        M2       F3    output
    29x29x1   26x26x20   13x13x20   9x9x40    3x3x40   150   10

The paper writes it 1x29x29-20C4-MP2-40C5-MP3-150N-10N and averages the outputs of 35 such columns.

Departures: logits where the paper has a softmax (the loss applies it). modern_column is not the paper's: it has
today's 3x3 convolutions with batch normalisation and ReLU, and so learns in a dozen epochs where the paper took 800.
Weights start as Keras starts them, the paper's uniform in +-0.05.
"""

import keras
from keras import layers

from ._layers import check_image, scaled_tanh


def mcdnn_column(input_shape=(29, 29, 1), classes=10):
    """The paper's column: ``(batch, height, width, channels)``, 17x17 or larger, to ``classes`` logits.

    Raises ValueError for a smaller ``input_shape``, where the last pooling has nothing left, and for ``classes`` < 1.
    """
    check_image(input_shape, classes, smallest=17, why="the last pooling needs 3x3")
    x = inputs = keras.Input(input_shape)
    x = layers.Conv2D(20, 4, activation=scaled_tanh, name="c1")(x)      # 26x26x20
    x = layers.MaxPooling2D(2, name="m1")(x)                            # 13x13x20
    x = layers.Conv2D(40, 5, activation=scaled_tanh, name="c2")(x)      # 9x9x40
    x = layers.MaxPooling2D(3, name="m2")(x)                            # 3x3x40
    x = layers.Flatten(name="flatten")(x)                               # 360
    x = layers.Dense(150, activation=scaled_tanh, name="f3")(x)
    x = layers.Dense(classes, name="output")(x)
    return keras.Model(inputs, x, name="mcdnn_column")


def modern_column(input_shape=(29, 29, 1), classes=10):
    """A column of today: ``(batch, height, width, channels)``, 8x8 or larger, to ``classes`` logits."""
    check_image(input_shape, classes, smallest=8, why="three poolings halve it")
    x = inputs = keras.Input(input_shape)
    for stage, filters in enumerate((16, 32, 64), start=1):             # 14x14x16, 7x7x32, 3x3x64
        for conv in (1, 2):
            name = f"stage{stage}_conv{conv}"
            x = layers.Conv2D(filters, 3, padding="same", use_bias=False, name=name)(x)
            x = layers.BatchNormalization(name=f"{name}_bn")(x)
            x = layers.ReLU(name=f"{name}_relu")(x)
        x = layers.MaxPooling2D(2, name=f"stage{stage}_out")(x)
    x = layers.Flatten(name="flatten")(x)                               # 576
    x = layers.Dropout(0.4, name="dropout")(x)
    x = layers.Dense(classes, name="output")(x)
    return keras.Model(inputs, x, name="modern_column")
