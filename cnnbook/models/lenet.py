"""LeNet, 1989 to 1998: convolutions that share their weights, sub-sampling, and layers that see everything.

1989: LeCun et al., Backpropagation Applied to Handwritten Zip Code Recognition, Neural Computation 1(4), 541-551.
1998: LeCun, Bottou, Bengio, Haffner, Gradient-Based Learning Applied to Document Recognition,
      Proc. IEEE 86(11), 2278-2324, section II.B. https://doi.org/10.1109/5.726791

    LeNet-5   C1        S2        C3         S4       C5       F6    output
    32x32x1   28x28x6   14x14x6   10x10x16   5x5x16   1x1x120  84    10       feature maps
              156       12        1,516      32       48,120   10,164 840*    parameters (* constants)

Departures: the output's codes are drawn on the paper's 7x12 grid, not traced from its figure 3. The 1989 paper does not
say which 8 of 12 maps each map of H2 reads; here, eight neighbours in a ring. lenet5_dense is today's usual LeNet-5:
every map of C3 reads all of S2, plain average pooling, logits from a dense layer.
"""

import keras
import numpy as np
from keras import layers

from ._layers import (
    BackgroundPadding,
    PositionBias,
    RadialBasis,
    SubSampling,
    TableConv2D,
    check_format,
    check_image,
    connections,
    scaled_tanh,
)

# Table I of 1998: which maps of S2 (rows) each of the 16 maps of C3 (columns) reads.
C3_TABLE = connections("""
    X . . . X X X . . X X X X . X X
    X X . . . X X X . . X X X X . X
    X X X . . . X X X . . X . X X X
    . X X X . . X X X X . . X . X X
    . . X X X . . X X X X . X X . X
    . . . X X X . . X X X X . X X X
""")

H2_TABLE = np.array([[(row - column) % 12 < 8 for column in range(12)] for row in range(12)], dtype="float32")

# The ten digits on a grid of 7 x 12: the targets of F6's 84 units, +1 for ink and -1 for paper.
DIGIT_BITMAPS = """
    .......  .......  .......  .......  .......  .......  .......  .......  .......  .......
    ..###..  ...#...  .#####.  .#####.  .....#.  #######  ..####.  #######  .#####.  .#####.
    .##.##.  ..##...  ##...##  ##...##  ....##.  ##.....  .##....  .....##  ##...##  ##...##
    ##...##  .###...  .....##  .....##  ...###.  ##.....  ##.....  .....##  ##...##  ##...##
    ##...##  ...#...  .....##  .....##  ..#.##.  ##.....  ##.....  ....##.  ##...##  ##...##
    ##...##  ...#...  ....##.  ..####.  .##.##.  ######.  ######.  ....##.  .#####.  ##...##
    ##...##  ...#...  ...##..  .....##  ##..##.  .....##  ##...##  ...##..  ##...##  .######
    ##...##  ...#...  ..##...  .....##  #######  .....##  ##...##  ...##..  ##...##  .....##
    ##...##  ...#...  .##....  .....##  ....##.  .....##  ##...##  ..##...  ##...##  .....##
    .##.##.  ...#...  ##.....  ##...##  ....##.  ##...##  ##...##  ..##...  ##...##  ....##.
    ..###..  .#####.  #######  .#####.  ....##.  .#####.  .#####.  ..##...  .#####.  .####..
    .......  .......  .......  .......  .......  .......  .......  .......  .......  .......
"""
DIGIT_CODES = np.array([
    [1 if mark == "#" else -1 for row in DIGIT_BITMAPS.split("\n")[1:13] for mark in row.split()[digit]]
    for digit in range(10)
], dtype="float32")  # fmt: skip


def uniform(fan_in):
    """Weights start uniform in +-2.4 / fan-in, as the appendix of 1998 says."""
    return keras.initializers.RandomUniform(-2.4 / fan_in, 2.4 / fan_in)


def lenet1989():
    """The network of 1989: ``(batch, 16, 16, 1)``, ink 1 and paper -1, to ten outputs in (-1.7159, 1.7159)."""
    check_format()
    x = inputs = keras.Input((16, 16, 1))
    x = BackgroundPadding(2, -1.0, name="h1_pad")(x)
    x = layers.Conv2D(12, 5, strides=2, use_bias=False, kernel_initializer=uniform(25), name="h1_conv")(x)
    x = PositionBias(scaled_tanh, name="h1_out")(x)                                                     # 8x8x12
    x = BackgroundPadding(2, -1.0, name="h2_pad")(x)
    x = TableConv2D(H2_TABLE, 5, strides=2, use_bias=False, name="h2_conv")(x)
    x = PositionBias(scaled_tanh, name="h2_out")(x)                                                     # 4x4x12
    x = layers.Flatten(name="flatten")(x)                                                               # 192
    x = layers.Dense(30, scaled_tanh, kernel_initializer=uniform(192), name="h3")(x)
    x = layers.Dense(10, scaled_tanh, kernel_initializer=uniform(30), name="output")(x)
    return keras.Model(inputs, x, name="lenet1989")


def lenet5():
    """LeNet-5 as in the paper: ``(batch, 32, 32, 1)``, paper -0.1 and ink 1.175, to ten negative squared distances."""
    check_format()
    x = inputs = keras.Input((32, 32, 1))
    x = layers.Conv2D(6, 5, activation=scaled_tanh, kernel_initializer=uniform(25), name="c1")(x)       # 28x28x6
    x = SubSampling(scaled_tanh, name="s2")(x)                                                          # 14x14x6
    x = TableConv2D(C3_TABLE, 5, activation=scaled_tanh, name="c3")(x)                                  # 10x10x16
    x = SubSampling(scaled_tanh, name="s4")(x)                                                          # 5x5x16
    x = layers.Conv2D(120, 5, activation=scaled_tanh, kernel_initializer=uniform(400), name="c5")(x)    # 1x1x120
    x = layers.Flatten(name="flatten")(x)                                                               # 120
    x = layers.Dense(84, scaled_tanh, kernel_initializer=uniform(120), name="f6")(x)
    x = RadialBasis(DIGIT_CODES, name="output")(x)
    return keras.Model(inputs, x, name="lenet5")


def lenet5_dense(input_shape=(32, 32, 1), classes=10, activation="tanh"):
    """Today's LeNet-5: ``(batch, height, width, channels)``, 32x32 or larger, to ``classes`` logits.

    Raises ValueError for an ``input_shape`` under (32, 32, channels), where C5 would have nothing left to see, and
    for ``classes`` under 1.
    """
    check_image(input_shape, classes, smallest=32, why="C5 needs 5x5 after S4")
    x = inputs = keras.Input(input_shape)
    x = layers.Conv2D(6, 5, activation=activation, name="c1")(x)        # 28x28x6
    x = layers.AveragePooling2D(2, name="s2")(x)                        # 14x14x6
    x = layers.Conv2D(16, 5, activation=activation, name="c3")(x)       # 10x10x16
    x = layers.AveragePooling2D(2, name="s4")(x)                        # 5x5x16
    x = layers.Conv2D(120, 5, activation=activation, name="c5")(x)      # 1x1x120
    x = layers.Flatten(name="flatten")(x)                               # 120
    x = layers.Dense(84, activation=activation, name="f6")(x)
    x = layers.Dense(classes, name="output")(x)
    return keras.Model(inputs, x, name="lenet5_dense")
