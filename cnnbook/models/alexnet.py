"""AlexNet: five convolutions and three dense layers, ReLU and dropout; it won ILSVRC in 2012.

Krizhevsky, Sutskever, Hinton: ImageNet Classification with Deep Convolutional Neural Networks, NeurIPS 2012, sec. 3.5.
https://papers.nips.cc/paper/4824

    input       conv1      pool1      conv2       pool2       conv3       conv4       conv5       pool5     fc6    fc7
    227x227x3   55x55x96   27x27x96   27x27x256   13x13x256   13x13x384   13x13x384   13x13x256   6x6x256   4096   4096

The paper's net has two streams, one on each GPU, which meet in conv3 and in the dense layers: conv2, conv4 and conv5
have two groups. "alexnet" is the same in one stream, "alexnet_two_stream" is the paper's.

Departures: inputs of 227x227, for the paper's 224 do not give its 55x55. Logits, where the paper has a softmax. Weights
and biases start as Keras starts them; the paper's are Gaussian of deviation 0.01, and some biases 1 (section 5).
"""

import keras
from keras import layers

from ._layers import LocalResponseNormalization, check_image, check_variant, scaled

GROUPS = {"alexnet": 1, "alexnet_two_stream": 2}


def alexnet(variant="alexnet", input_shape=(227, 227, 3), classes=1000, width=1.0):
    """AlexNet: ``(batch, height, width, channels)``, 67x67 or larger, to ``classes`` logits.

    ``width`` multiplies the filters and units of each layer. Raises ValueError for an unknown ``variant``, for an
    ``input_shape`` that the strides use up, for ``classes`` < 1, and for a ``width`` that leaves a layer no filters.
    """
    check_variant(variant, GROUPS)
    check_image(input_shape, classes, smallest=67, why="after the strides 4, 2 and 2 the last pooling needs 3x3")
    groups = GROUPS[variant]
    filters = lambda number: groups * scaled(number // groups, width)  # as many in each stream
    x = inputs = keras.Input(input_shape)
    x = layers.Conv2D(filters(96), 11, strides=4, activation="relu", name="conv1")(x)                  # 55x55x96
    x = LocalResponseNormalization(name="norm1")(x)
    x = layers.MaxPooling2D(3, strides=2, name="pool1_out")(x)                                         # 27x27x96
    x = _conv(x, filters(256), 5, groups, name="conv2")                                                # 27x27x256
    x = LocalResponseNormalization(name="norm2")(x)
    x = layers.MaxPooling2D(3, strides=2, name="pool2_out")(x)                                         # 13x13x256
    x = _conv(x, filters(384), 3, 1, name="conv3")                                                     # 13x13x384
    x = _conv(x, filters(384), 3, groups, name="conv4")                                                # 13x13x384
    x = _conv(x, filters(256), 3, groups, name="conv5")                                                # 13x13x256
    x = layers.MaxPooling2D(3, strides=2, name="pool5_out")(x)                                         # 6x6x256
    x = layers.Flatten(name="flatten")(x)                                                              # 9216
    for name in ("fc6", "fc7"):
        x = layers.Dense(scaled(4096, width), activation="relu", name=name)(x)
        x = layers.Dropout(0.5, name=f"{name}_dropout")(x)
    x = layers.Dense(classes, name="output")(x)
    return keras.Model(inputs, x, name=variant)


def _conv(x, filters, kernel, groups, name):
    return layers.Conv2D(filters, kernel, padding="same", groups=groups, activation="relu", name=name)(x)
