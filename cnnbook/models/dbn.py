"""The classifier that a deep belief network becomes: dense layers of logistic units, up to the labels.

Hinton, Salakhutdinov: Reducing the Dimensionality of Data with Neural Networks, Science 313, 504-507, 2006.
https://doi.org/10.1126/science.1127647

    input   hidden1   hidden2   hidden3     output
    784     500       500       2000        10        units
            392,500   250,500   1,002,000   20,010    parameters

Departures: logits, where the paper has a softmax. The weights start at random;
``tasks.boltzmann.Pretrained`` starts them as the paper does.
"""

import keras
from keras import layers

from ._layers import check_count


def dbn_classifier(inputs=784, hidden=(500, 500, 2000), classes=10):
    """The network: ``(batch, inputs)``, values from 0 to 1, to ``classes`` logits.

    Raises ValueError for a size that is no int or under 1, and for ``hidden`` that is no tuple or list of one or more.
    """
    if not isinstance(hidden, tuple | list) or not hidden:
        raise ValueError(f"hidden must be a tuple of one int or more, each at least 1; got {hidden!r}")
    for name, value in (("inputs", inputs), ("classes", classes), *(("hidden", units) for units in hidden)):
        check_count(name, value)
    x = rows = keras.Input((inputs,))
    for i, units in enumerate(hidden, start=1):
        x = layers.Dense(units, activation="sigmoid", name=f"hidden{i}")(x)
    x = layers.Dense(classes, name="output")(x)
    return keras.Model(rows, x, name="dbn_classifier")
