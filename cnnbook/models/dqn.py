"""DQN: from the last four frames of a game to what each move of the joystick is worth; Atari, 2013 and 2015.

Mnih et al.: Human-level Control through Deep Reinforcement Learning, Nature 518, 529-533, 2015, Methods.
https://doi.org/10.1038/nature14236
Mnih et al.: Playing Atari with Deep Reinforcement Learning, NIPS Deep Learning Workshop 2013, section 4.1.
https://arxiv.org/abs/1312.5602

    dqn        conv1      conv2    conv3    hidden   output
    84x84x4    20x20x32   9x9x64   7x7x64   512      18

    dqn_2013   conv1      conv2             hidden   output
    84x84x4    20x20x16   9x9x32            256      18

Departures: none from the papers. The authors' code of 2015 pads conv1 by a pixel, which changes no shape.
"""

import keras
from keras import layers

from ._layers import check_count, check_image, check_variant, scaled

NETS = {  # filters, kernel and stride of the convolutions, units of the dense layer
    "dqn":      (((32, 8, 4), (64, 4, 2), (64, 3, 1)), 512),
    "dqn_2013": (((16, 8, 4), (32, 4, 2)),             256),
}  # fmt: skip


def dqn(variant="dqn", input_shape=(84, 84, 4), actions=18, width=1.0):
    """A DQN: frames ``(batch, height, width, frames)`` to ``(batch, actions)`` values, one for each move.

    ``dqn`` takes 36x36 and larger, ``dqn_2013`` 20x20. ``width`` multiplies the filters and units of each layer.
    Raises ValueError for an unknown ``variant``, for an ``input_shape`` that the strides use up, for ``actions`` < 1,
    and for a ``width`` that leaves a layer no filters.
    """
    check_variant(variant, NETS)
    check_count("actions", actions)
    convolutions, units = NETS[variant]
    smallest, last = (36, "3x3") if variant == "dqn" else (20, "4x4")
    check_image(input_shape, actions, smallest, why=f"the last convolution needs {last}")
    x = inputs = keras.Input(input_shape)
    for number, (filters, kernel, strides) in enumerate(convolutions, start=1):
        x = layers.Conv2D(scaled(filters, width), kernel, strides, activation="relu", name=f"conv{number}")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(scaled(units, width), activation="relu", name="hidden")(x)
    x = layers.Dense(actions, name="output")(x)
    return keras.Model(inputs, x, name=variant)
