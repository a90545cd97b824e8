"""Kim's CNN: filters over three, four and five words at a time, and of each the strongest answer in the sentence; 2014.

Kim: Convolutional Neural Networks for Sentence Classification, EMNLP 2014, sections 2 and 3.
https://arxiv.org/abs/1408.5882

    input   embedding   window3   window4   window5   largest       output
    56      56x300      54x100    53x100    52x100    100 of each   2

kimcnn_rand learns its word vectors, kimcnn_static is given them and leaves them, kimcnn_nonstatic is given them and
trains them, kimcnn_multichannel has both, and each filter reads the two and adds (section 2).

Departures: logits, where the paper has a softmax. The padding is one of the vocabulary's ids and trained as a word is;
the authors' code keeps its vector at zero, and puts four of it before and behind each sentence, which is the data's
business here. That code says what the paper does not: 56 words at most in MR, random vectors uniform in +-0.25.
"""

import keras
import numpy as np
from keras import layers

from ._layers import check_count, check_format, check_variant, scaled

VARIANTS = {  # the embeddings, and whether their vectors are given
    "kimcnn_rand":         (("trained",),          False),
    "kimcnn_static":       (("static",),           True),
    "kimcnn_nonstatic":    (("trained",),          True),
    "kimcnn_multichannel": (("trained", "static"), True),
}  # fmt: skip
WINDOWS = (3, 4, 5)


def window(x, words, filters, name):
    """Filters over so many words and the largest value of each: ``(batch, length, channels) -> (batch, filters)``."""
    x = layers.Conv1D(filters, words, activation="relu", name=f"{name}_conv")(x)
    return layers.GlobalMaxPooling1D(name=f"{name}_out")(x)


def kimcnn(variant="kimcnn_rand", length=56, vocabulary=18_766, classes=2, vectors=None, embedding=300, width=1.0):
    """Kim's CNN: ids of words ``(batch, length)``, from 0 to ``vocabulary`` - 1, to ``classes`` logits.

    Left out, ``vocabulary`` is MR's 18,765 words and the padding. ``vectors`` is an array (vocabulary, embedding) that
    all variants but kimcnn_rand start from, or "random", to look at these without one. ``width`` multiplies the
    filters. Raises ValueError for an unknown ``variant``, for a ``length`` under 5, for ``vocabulary``, ``classes`` or
    ``embedding`` < 1, for ``vectors`` that are missing, no finite numbers, of another shape or given to kimcnn_rand,
    and for a ``width`` that leaves a layer no filters.
    """
    check_variant(variant, VARIANTS)
    check_format()
    check_count("length", length, smallest=max(WINDOWS))
    for name, value in (("vocabulary", vocabulary), ("classes", classes), ("embedding", embedding)):
        check_count(name, value)
    embeddings, given = VARIANTS[variant]
    inputs, uniform = keras.Input((length,), dtype="int32"), keras.initializers.RandomUniform(-0.25, 0.25)
    if given and isinstance(vectors, str) and vectors == "random":
        vectors = keras.ops.convert_to_numpy(uniform((vocabulary, embedding)))
    found, wanted = np.asarray(vectors), (vocabulary, embedding)
    numbers = found.dtype.kind in "fiu" and np.isfinite(found).all()
    if not (numbers and found.shape == wanted if given else vectors is None):
        wanted = f'an array of finite numbers of shape {wanted} or "random"' if given else "None"
        found = None if vectors is None else f"shape {found.shape}" if numbers else f"{found.dtype} of {found.shape}"
        raise ValueError(f"vectors must be {wanted} for {variant}, got {found}")
    channels = []
    for kind in embeddings:
        layer = layers.Embedding(vocabulary, embedding, uniform, trainable=kind == "trained", name=f"embedding_{kind}")
        channels.append(layer(inputs))
        if given:
            layer.set_weights([found])
    # A filter's answers to two channels, added, are its answer to their sum.
    x = layers.Add(name="channels")(channels) if len(channels) > 1 else channels[0]
    x = [window(x, words, scaled(100, width), f"window{words}") for words in WINDOWS]
    x = layers.Dropout(0.5, name="dropout")(layers.Concatenate(name="windows_out")(x))
    limit = keras.constraints.MaxNorm(3, axis=0)  # of the weights of each class, section 2.1
    x = layers.Dense(classes, kernel_constraint=limit, name="output")(x)
    return keras.Model(inputs, x, name=variant)
