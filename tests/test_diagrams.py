"""diagrams: every block is named with its shape, no network is too deep to draw, and no text overlaps another."""

from cnnbook import diagrams, figures, models

import keras
import matplotlib.pyplot as plt
import pytest
from keras import layers


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def texts(fig):
    return [t.get_text() for t in fig.axes[0].texts if t.get_text()]


def test_draw_names_every_block_with_its_kind_and_shape():
    assert texts(diagrams.draw(models.lenet5(), title="LeNet-5")) == [
        "LeNet-5", "input", "32 × 32 × 1", "c1", "Conv2D", "28 × 28 × 6", "s2", "SubSampling", "14 × 14 × 6",
        "c3", "TableConv2D", "10 × 10 × 16", "s4", "SubSampling", "5 × 5 × 16", "c5", "Conv2D", "120",
        "f6", "Dense", "84", "output", "RadialBasis", "10",
    ]  # fmt: skip


def test_draw_folds_padding_and_layers_that_keep_the_shape():
    shown = texts(diagrams.draw(models.lenet1989()))
    assert "h1_conv" in shown and "h1_pad" not in shown and "h1_out" not in shown


def test_draw_folds_a_deep_net_by_height_and_width():
    x = inputs = keras.Input((64, 64, 3))
    for stage in range(1, 5):
        for layer in range(1, 11):
            strides = 2 if layer == 1 else 1
            x = layers.Conv2D(8 * layer, 3, strides, padding="same", name=f"stage{stage}_conv{layer}")(x)
    shown = texts(diagrams.draw(keras.Model(inputs, x)))
    assert shown == ["input", "64 × 64 × 3"] + [
        text for i in range(1, 5) for text in (f"stage{i}", "10 layers", f"{64 >> i} × {64 >> i} × 80")
    ]


def names(fig):
    return [t.get_text() for t in fig.axes[0].texts if t.get_weight() == "bold"]


def test_draw_folds_resnet152_by_stage():
    shown = texts(diagrams.draw(models.resnet("resnet152")))
    stages = [f"stage{i}" for i in (1, 2, 3, 4)]
    assert names(diagrams.draw(models.resnet("resnet152"))) == [
        "input", "stem_conv", "stem_out", *stages, "average_out", "output"]  # fmt: skip
    assert [shown[shown.index(stage) + 2] for stage in stages] == [
        "56 × 56 × 256", "28 × 28 × 512", "14 × 14 × 1024", "7 × 7 × 2048"]  # fmt: skip


def test_draw_follows_the_connections_where_a_net_branches():
    """Heads on the way are no step towards the output; branches beside each other are one; a U is drawn along it."""
    fig = diagrams.draw(models.googlenet("googlenet_aux"))
    assert names(fig)[-5:] == ["inception", "pool4_out", "inception", "pool5_out", "output"]
    assert not any("aux" in name for name in names(fig))
    assert texts(fig)[-2:] == ["one more output: aux1_output, 1000", "one more output: aux2_output, 1000"]
    assert names(diagrams.draw(models.kimcnn())) == ["input", "embedding_trained", "window5–window3", "output"]
    levels = [*(f"down{i}" for i in (1, 2, 3, 4)), "bottom", *(f"up{i}" for i in (4, 3, 2, 1))]
    assert names(diagrams.draw(models.unet())) == ["input", *levels, "output"]


@pytest.mark.parametrize("name", ["se_resnet152", "efficientnet_b7", "nasnet_mobile", "mobilenet_v3_large"])
def test_draw_makes_16_blocks_of_any_net_at_most(name):
    assert 5 < len(names(diagrams.draw(models.NETWORKS[name]()))) <= 16


def test_draw_shows_names_as_they_are():
    net = keras.Sequential([keras.Input((4,)), layers.Dense(2, name="a$x$b")])
    fig = diagrams.draw(net, title="costs $5, not $6")
    assert {"a$x$b", "costs $5, not $6"} <= set(texts(fig))
    assert not any(t.get_parse_math() for t in fig.axes[0].texts if t.get_text())


@pytest.mark.parametrize("name", [
    "lenet1989", "lenet5", "lenet5_dense", "mcdnn_column", "vgg16", "resnet152", "googlenet_aux", "unet",
    "kimcnn_multichannel", "efficientnet_b7"])  # fmt: skip
def test_drawn_texts_are_large_and_overlap_nothing(name):
    fig = diagrams.draw(models.NETWORKS[name](), title=name)
    boxes = [t.get_window_extent() for t in fig.axes[0].texts if t.get_text()]
    assert min(t.get_fontsize() for t in fig.axes[0].texts) >= 10
    assert all(fig.bbox.containsx(x) and fig.bbox.containsy(y) for b in boxes for x, y in (b.p0, b.p1))
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    squares = [p.get_window_extent() for p in fig.axes[0].patches]
    assert squares and not any(a.overlaps(b) for a in boxes for b in squares)


def test_draw_takes_vectors_and_sequences():
    mlp = keras.Sequential([keras.Input((20,)), layers.Dense(2, name="dense")])
    assert texts(diagrams.draw(mlp)) == ["input", "20", "dense", "Dense", "2"]
    text = keras.Sequential([keras.Input((20, 4)), layers.Conv1D(8, 3, name="conv")])
    assert texts(diagrams.draw(text))[-1] == "18 × 8"
    einsum = layers.EinsumDense("abc,cd->abd", output_shape=(None, 64), name="einsum")
    with pytest.raises(ValueError, match=r"model must give .* none for einsum"):
        diagrams.draw(keras.Sequential([keras.Input((32, 128)), einsum]))
    for columns in (0, 2.5, "4"):
        with pytest.raises(ValueError, match="columns must be an int >= 1, got "):
            diagrams.draw(mlp, columns=columns)


def test_the_former_name_draws_the_same_and_says_where_it_went():
    with pytest.warns(DeprecationWarning, match=r"figures.draw is now diagrams.draw"):
        former = figures.draw(models.lenet5(), title="LeNet-5", columns=3)
    assert texts(former) == texts(diagrams.draw(models.lenet5(), "LeNet-5", 3))
