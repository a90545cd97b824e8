"""ZFNet: AlexNet with smaller first kernels and strides; its layers were looked at by deconvolution. ILSVRC 2013.

Zeiler, Fergus: Visualizing and Understanding Convolutional Networks, ECCV 2014, figure 3. https://arxiv.org/abs/1311.2901

    conv1        pool1      conv2       pool2       conv3       conv4       conv5       pool5     fc6    fc7
    110x110x96   55x55x96   26x26x256   13x13x256   13x13x384   13x13x384   13x13x256   6x6x256   4096   4096

Departures: the figure's sizes need one row of padding at conv1, and poolings whose last window may hang over the edge;
here they do. The contrast normalisation is AlexNet's local response normalisation. Logits, where the paper has softmax.
Weights start as Keras starts them; the paper's at 0.01.
"""

import keras
from keras import layers

from ._layers import LocalResponseNormalization, check_image, check_variant, scaled

VARIANTS = ("zfnet",)


def zfnet(variant="zfnet", input_shape=(224, 224, 3), classes=1000, width=1.0):
    """ZFNet: ``(batch, height, width, channels)``, 53x53 or larger, to ``classes`` logits.

    ``width`` multiplies the filters and units of each layer. Raises ValueError for an unknown ``variant``, for an
    ``input_shape`` that the strides use up, for ``classes`` < 1, and for a ``width`` that leaves a layer no filters.
    """
    check_variant(variant, VARIANTS)
    check_image(input_shape, classes, smallest=53, why="after the strides 2, 2, 2 and 2 the last pooling needs 3x3")
    x = inputs = keras.Input(input_shape)
    x = layers.ZeroPadding2D(1, name="conv1_pad")(x)
    x = layers.Conv2D(scaled(96, width), 7, strides=2, activation="relu", name="conv1")(x)             # 110x110x96
    x = layers.MaxPooling2D(3, strides=2, padding="same", name="pool1")(x)                             # 55x55x96
    x = LocalResponseNormalization(name="pool1_out")(x)
    x = layers.Conv2D(scaled(256, width), 5, strides=2, activation="relu", name="conv2")(x)            # 26x26x256
    x = layers.MaxPooling2D(3, strides=2, padding="same", name="pool2")(x)                             # 13x13x256
    x = LocalResponseNormalization(name="pool2_out")(x)
    for name, filters in (("conv3", 384), ("conv4", 384), ("conv5", 256)):                             # 13x13
        x = layers.Conv2D(scaled(filters, width), 3, padding="same", activation="relu", name=name)(x)
    x = layers.MaxPooling2D(3, strides=2, name="pool5_out")(x)                                         # 6x6x256
    x = layers.Flatten(name="flatten")(x)                                                              # 9216
    for name in ("fc6", "fc7"):
        x = layers.Dense(scaled(4096, width), activation="relu", name=name)(x)
        x = layers.Dropout(0.5, name=f"{name}_dropout")(x)
    x = layers.Dense(classes, name="output")(x)
    return keras.Model(inputs, x, name=variant)
