"""figures: alternative text is enforced, the HTML is the same everywhere, and each drawing shows what it was given."""

from cnnbook import figures

import re

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest

ALT = "A straight line that rises from 0 to 1"
CAPTION = "Look at how steeply it rises"


@pytest.fixture(autouse=True)
def closed():
    plt.close("all")
    yield
    plt.close("all")


@pytest.fixture
def shown(monkeypatch):
    """The HTML texts that figures.show displays."""
    texts = []
    monkeypatch.setattr("IPython.display.display", lambda html: texts.append(html.data))
    return texts


def line():
    fig, ax = plt.subplots()
    ax.plot([0, 1])
    return fig


def test_show_gives_an_image_with_alternative_text_and_closes_the_figure(shown):
    assert figures.show(line(), 'Error "test" < 1 &\n  falling with the epochs', CAPTION) is None
    tag = r'<img src="data:image/png;base64,[A-Za-z0-9+/=]+" alt="[^"<>]+" class="[\w-]+" style="[^"]+">'
    assert re.search(tag, shown[0])
    assert 'alt="Error &quot;test&quot; &lt; 1 &amp; falling with the epochs"' in shown[0]
    assert "max-width:100%" in shown[0] and "width:576px" in shown[0]
    assert plt.get_fignums() == []


def test_the_same_figure_gives_the_same_bytes_without_a_version_in_them(shown):
    figures.show(line(), ALT, CAPTION)
    figures.show(line(), ALT, CAPTION)
    assert shown[0] == shown[1]
    assert b"matplotlib" not in figures.base64.b64decode(shown[0].split("base64,")[1].split('"')[0]).lower()


def test_width_is_the_readers(shown):
    figures.show(line(), ALT, CAPTION, width=300)
    assert "width:300px" in shown[0]
    with pytest.raises(ValueError, match="width must be a positive number of pixels, got 0"):
        figures.show(line(), ALT, CAPTION, width=0)


def test_a_caption_stands_below_the_figure(shown):
    figures.show(line(), ALT, "Look at the slope < 1\n  at the end.")
    assert re.fullmatch(r'<figure class="cnnbook-figure"><img [^>]+><figcaption>[^<]+</figcaption></figure>', shown[0])
    assert "<figcaption>Look at the slope &lt; 1 at the end.</figcaption>" in shown[0]
    with pytest.raises(ValueError, match="caption must say what to look at, alt what is there"):
        figures.show(line(), ALT, ALT)
    with pytest.raises(ValueError, match="caption must say in 20 characters or more"):
        figures.show(line(), ALT, "Loss.")
    with pytest.raises(TypeError, match="caption must be a string, got int"):
        figures.show(line(), ALT, 300)
    assert len(shown) == 1 and plt.get_fignums() == []


@pytest.mark.parametrize("alt", [
    "", "   ", "figure", "plot", "Figure", "loss curve",
    "../_images/a_long_enough_name_0_0", "images/loss-and-error-curves.png",
    "my picture of the loss.PNG", "C:\\pictures\\of\\the\\loss\\curve",
])  # fmt: skip
def test_an_alternative_text_that_says_nothing_is_refused_and_the_figure_closed(shown, alt):
    with pytest.raises(ValueError, match="alt must say in 20 characters or more what the figure shows, got"):
        figures.show(line(), alt, CAPTION)
    assert shown == [] and plt.get_fignums() == []


def test_wrong_types_are_named(shown):
    with pytest.raises(TypeError, match="alt must be a string, got NoneType"):
        figures.show(line(), None, CAPTION)
    with pytest.raises(TypeError, match="fig must be a matplotlib figure, got list"):
        figures.show([line()], ALT, CAPTION)


def luminance(colour):
    """Relative luminance as the Web Content Accessibility Guidelines define it."""
    channels = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(channels <= 0.03928, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def test_text_has_contrast_on_its_card():
    assert plt.rcParams["figure.facecolor"] == "white"
    for name in ("text.color", "axes.labelcolor", "xtick.color"):
        assert 1.05 / (luminance(plt.rcParams[name]) + 0.05) >= 7


def test_images_take_each_shape_and_share_limits():
    arrays = [np.zeros((4, 4)), np.full((4, 4, 1), 7.0), np.full((2, 3, 3), 0.5)]
    fig = figures.images(arrays, titles=["a", "b", "c"], columns=2)
    assert [ax.get_title() for ax in fig.axes] == ["a", "b", "c", ""]
    assert [ax.images[0].get_array().shape for ax in fig.axes[:3]] == [(4, 4), (4, 4), (2, 3, 3)]
    shared = figures.images(arrays[:2], limits="shared")
    assert [ax.images[0].get_clim() for ax in shared.axes] == [(0, 7), (0, 7)]
    given = figures.images(np.zeros((2, 4, 4)), limits=(-1, 1))
    assert [ax.images[0].get_clim() for ax in given.axes] == [(-1, 1), (-1, 1)]


@pytest.mark.parametrize("weights, first, last", [
    (np.arange(8.0).reshape(2, 2, 1, 2), [[0, 2], [4, 6]], [[1, 3], [5, 7]]),
    (np.arange(8.0).reshape(2, 2, 2), [[0, 2], [4, 6]], [[1, 3], [5, 7]]),
    (np.arange(24.0).reshape(2, 2, 2, 3), [[0, 6], [12, 18]], [[5, 11], [17, 23]]),
])  # fmt: skip
def test_kernels_are_tiles_on_one_scale_about_zero(weights, first, last):
    fig = figures.kernels(weights)
    tiles = [ax.images[0] for ax in fig.axes if ax.images]
    assert np.array_equal(tiles[0].get_array(), first) and np.array_equal(tiles[-1].get_array(), last)
    assert {t.get_clim() for t in tiles} == {(-weights.max(), weights.max())}


def test_kernels_that_are_all_zero_are_drawn():
    assert figures.kernels(np.zeros((3, 3, 1, 2))).axes[0].images[0].get_clim() == (-1, 1)


def test_curves_show_mean_and_range_of_the_seeds():
    histories = {"test": [[3, 2, 1], [5, 4, 3]], "train": [1, 1, 1]}
    fig = figures.curves(histories, references={"paper": 0.5}, percent=True, log=True)
    lines = {x.get_label(): list(x.get_ydata()) for x in fig.axes[0].lines}
    assert lines == {"test (mean of 2)": [4, 3, 2], "train": [1, 1, 1], "paper": [0.5, 0.5]}
    assert list(fig.axes[0].lines[0].get_xdata()) == [1, 2, 3]
    band = fig.axes[0].collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == (1, 5)
    assert fig.axes[0].yaxis.get_major_formatter()(0.0095, 0) == "0.95%"


def test_matrices_write_every_number_and_mark_the_window():
    fig = figures.matrices([[[1, 2], [3, 4]], [0.5, 1]], ["in", "out"], [(0, 1, 2, 1), None], ["→"])
    texts = [t.get_text() for t in fig.axes[0].texts]
    assert texts == ["1", "2", "3", "4", "in", "→", "0.50", "1.00", "out"]
    window = fig.axes[0].patches[-3]  # before the second matrix' two cells
    assert (window.get_x(), window.get_y(), window.get_width(), window.get_height()) == (1, 0, 1, 2)


def test_channel_sum_adds_the_parts_and_marks_the_same_place_everywhere():
    x, kernel = np.arange(6).reshape(2, 3), [[1, 0]]
    part = [[0, 1], [3, 4]]
    fig = figures.channel_sum([x, 10 * x], [kernel, kernel], [part, 10 * np.array(part)], ["red", "blue"], at=(1, 0))
    texts = [t.get_text() for t in fig.axes[0].texts]
    assert texts[-4:] == ["0", "11", "33", "44"]
    assert texts.count("⋆") == 2 and texts.count("=") == 3 and texts.count("+") == 1 and "blue" in texts
    frames = [p for p in fig.axes[0].patches if p.get_linewidth() == 3]
    assert [(p.get_width(), p.get_height()) for p in frames] == [(2, 1), (1, 1), (2, 1), (1, 1), (1, 1)]
    assert len({p.get_x() for p in frames}) == 3 and frames[0].get_x() == 0


@pytest.mark.parametrize("draw, message", [
    (lambda: figures.images([np.zeros(3)]), r"arrays must hold images .* got one of shape \(3,\)"),
    (lambda: figures.images([np.zeros((3, 3))], titles=["a", "b"]), "titles must be one for each of the 1, got 2"),
    (lambda: figures.images([]), "there is nothing to draw"),
    (lambda: figures.images([np.zeros((3, 3))], columns=0), "columns must be >= 1, got 0"),
    (lambda: figures.kernels(np.zeros((3, 3))), r"weights must be .* got shape \(3, 3\)"),
    (lambda: figures.curves({"a": [[1, 2], [1]]}), r"histories\['a'\] must hold runs of one length"),
    (lambda: figures.curves({"a": []}), r"histories\['a'\] must be \(seeds, epochs\)"),
    (lambda: figures.matrices([np.zeros((2, 2, 2))]), "arrays must have one or two axes"),
    (lambda: figures.matrices([[1], [2]], signs=[]), "signs must be 1 for 2 arrays, got 0"),
    (lambda: figures.channel_sum([np.eye(3)], [np.eye(2)], [np.eye(3)]), r"parts must be .* got input \(3, 3\)"),
    (lambda: figures.matrices([[1]], highlights=[None, None]), "highlights must be one for each of the 1, got 2"),
])  # fmt: skip
def test_wrong_arguments_are_named(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()


def test_chain_writes_slopes_over_the_arrows_and_products_under_them():
    ax = figures.chain(["w", "u", "L"], forwards=["4", "-2.6"], back=["-10.4", "-2.6"]).axes[0]
    place = {t.get_text(): t.get_position() for t in ax.texts if t.get_text() not in ("", "-2.6")}
    assert place["w"][0] < place["4"][0] == place["-10.4"][0] < place["u"][0] < place["L"][0]
    assert place["4"][1] > place["u"][1] > place["-10.4"][1]
    with pytest.raises(ValueError, match="back must be one for each arrow between 2 boxes, got 0"):
        figures.chain(["w", "L"], ["4"], [])
    with pytest.raises(ValueError, match="forwards must be one for each arrow between 1 boxes, got 0"):
        figures.chain(["w"], [], [])


def test_neighbourhoods_colours_each_thing_and_its_neighbours():
    spots = [(0, 0), (1, 0), (2, 0), (1, 1)]
    fig = figures.neighbourhoods(["a", "b", "c", "d"], 1, list("HOCN"), 1, [(0, 1), (3, 1), (2, 3)], spots)
    pixels, words, atoms = fig.axes
    shade = {name: matplotlib.colors.to_rgba(figures.COLOURS[name]) for name in ("amber", "sky")}
    in_grid = [patch.get_facecolor() for patch in pixels.patches]
    assert (in_grid.index(shade["amber"]), in_grid.count(shade["sky"]), len(in_grid)) == (12, 8, 25)
    near = lambda ax: {one.get_text() for one in ax.texts if one.get_bbox_patch().get_facecolor() == shade["sky"]}
    itself = lambda ax: {one.get_text() for one in ax.texts if one.get_bbox_patch().get_facecolor() == shade["amber"]}
    assert (itself(words), near(words)) == ({"b"}, {"a", "c"})
    assert (itself(atoms), near(atoms)) == ({"O"}, {"H", "N"})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"word": 2}, "word must be one of 0 to 1, got 2"),
        ({"atom": -1}, "atom must be one of 0 to 1, got -1"),
        ({"bonds": [(0, 2)]}, r"bonds must join atoms 0 to 1, got \(0, 2\)"),
        ({"spots": [(0, 0)]}, "spots must be one for each of the 2, got 1"),
    ],
)
def test_neighbourhoods_refuses_what_is_not_there(change, said):
    given = {"words": ["a", "b"], "word": 0, "atoms": "HO", "atom": 0, "bonds": [(0, 1)], "spots": [(0, 0), (1, 0)]}
    with pytest.raises(ValueError, match=said):
        figures.neighbourhoods(**given | change)


def test_large_images_fill_the_width_in_their_own_shape():
    arrays = [np.zeros((30, 60)), np.ones((30, 60)), np.full((30, 60), 2.0)]
    fig = figures.images(arrays, ["a", "b", "c"], limits=(0, 1), large=True)
    assert fig.get_figwidth() == figures.WIDTH and fig.get_figheight() == pytest.approx(2 * (1.5 + 0.3))
    shown = [ax for ax in fig.axes if ax.images]
    assert [ax.get_title() for ax in shown] == ["a", "b", "c"]
    assert {ax.images[0].get_clim() for ax in shown} == {(0, 1)}
    with pytest.raises(ValueError, match="titles must be one for each of the 1, got 2"):
        figures.images([np.zeros((2, 2))], ["a", "b"], large=True)
    with pytest.raises(ValueError, match="columns must be >= 1, got 0"):
        figures.images([np.zeros((2, 2))], ["a"], columns=0, large=True)


def test_boltzmann_writes_every_weight_and_bias():
    fig = figures.boltzmann([[2, -1], [0.5, 0], [7, 1]], [0, -3, 0], [-4, 9])
    texts = [text.get_text() for text in fig.axes[0].texts]
    assert texts[:6] == ["2", "-1", "0.5", "0", "7", "1"] and "$v_3$" in texts and "$h_2$" in texts
    assert {"bias -3", "bias -4", "bias 9"} <= set(texts)
    with pytest.raises(ValueError, match=r"weights must be .* got shape \(3, 2\)"):
        figures.boltzmann([[2, -1], [2, 0], [-1, 1]], [0, 1], [0, 1])


def test_belief_net_has_a_machine_for_each_pair_and_the_labels_at_the_top_alone():
    fig = figures.belief_net(["image", "hidden", "code", "top"], "labels")
    texts = [text.get_text() for text in fig.axes[0].texts if text.get_text()]
    assert [t for t in texts if "machine" in t] == ["machine 1", "machine 2", "machine 3"]
    assert texts.count("labels") == 2 and texts.count("image") == 2 and texts.count("hidden") == 3
    with pytest.raises(ValueError, match="layers must be three or more"):
        figures.belief_net(["image", "top"], "labels")
