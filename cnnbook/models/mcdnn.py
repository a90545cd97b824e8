"""One column of the multi-column network for MNIST: a LeNet that is larger, trained on distorted digits.

Ciresan, Meier, Schmidhuber, Multi-column Deep Neural Networks for Image Classification, CVPR 2012, section 3.1.
https://doi.org/10.1109/CVPR.2012.6248110

    input     C1         M1         C2        M2       F3    output
    29x29x1   26x26x20   13x13x20   9x9x40    3x3x40   150   10

The paper writes it 1x29x29-20C4-MP2-40C5-MP3-150N-10N and averages the outputs of 35 such columns.

Departures: logits where the paper has a softmax (the loss applies it).
"""

import keras
from keras import layers

from ._layers import scaled_tanh


def mcdnn_column(input_shape=(29, 29, 1), classes=10, activation=scaled_tanh):
    """One column: ``(batch, height, width, channels)``, at least 17x17, to ``classes`` logits.

    Raises ValueError for a smaller ``input_shape``, where the last pooling has nothing left, and for ``classes`` < 1.
    """
    if len(input_shape) != 3 or min(input_shape[:2]) < 17 or input_shape[2] < 1:
        raise ValueError(f"input_shape must be (height, width, channels), at least (17, 17, 1), got {input_shape}")
    if classes < 1:
        raise ValueError(f"classes must be at least 1, got {classes}")
    x = inputs = keras.Input(input_shape)
    x = layers.Conv2D(20, 4, activation=activation, name="c1")(x)       # 26x26x20
    x = layers.MaxPooling2D(2, name="m1")(x)                            # 13x13x20
    x = layers.Conv2D(40, 5, activation=activation, name="c2")(x)       # 9x9x40
    x = layers.MaxPooling2D(3, name="m2")(x)                            # 3x3x40
    x = layers.Flatten(name="flatten")(x)                               # 360
    x = layers.Dense(150, activation=activation, name="f3")(x)
    x = layers.Dense(classes, name="output")(x)
    return keras.Model(inputs, x, name="mcdnn_column")
