"""Every drawing that two chapters share, in one style, each shown with alternative text.

Importing this module applies the style. All functions but :func:`show` return a matplotlib figure, to be passed to
:func:`show` with words that say what it shows, computed numbers included, and a caption that says what to look at.
"""

import base64
import functools
import html
import io
import math
import re
import warnings

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np

# Okabe and Ito's eight colours, which colour-blind readers can tell apart (Wong 2011, Nature Methods 8:441).
COLOURS = {
    "blue": "#0072B2", "orange": "#D55E00", "green": "#009E73", "pink": "#CC79A7",
    "sky": "#56B4E9", "amber": "#E69F00", "black": "#000000", "yellow": "#F0E442",
}  # fmt: skip
INK, GRID = "#222222", "#D9D9D9"
WIDTH = 6.0  # inches: at 96 pixels an inch a phone shows it at 0.6 of its size, and 12 points stay legible
_LEAST_WORDS = 20  # characters


def style():
    """Apply the book's one style: a white card that is legible on a light and on a dark page."""
    mpl.rcParams.update({
        "figure.figsize": (WIDTH, 3.6), "figure.dpi": 100, "figure.constrained_layout.use": True,
        "figure.facecolor": "white", "savefig.facecolor": "white", "savefig.bbox": None,
        "font.family": "DejaVu Sans", "font.size": 12, "axes.titlesize": 12, "axes.labelsize": 12,
        "xtick.labelsize": 11, "ytick.labelsize": 11, "legend.fontsize": 11, "legend.frameon": False,
        "text.color": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK, "axes.edgecolor": "#666666",
        "axes.facecolor": "white", "axes.spines.top": False, "axes.spines.right": False,
        "axes.grid": True, "axes.axisbelow": True, "grid.color": GRID, "grid.linewidth": 0.8,
        "axes.prop_cycle": mpl.cycler(color=list(COLOURS.values())[:7]), "lines.linewidth": 2.0, "lines.markersize": 6,
        "image.cmap": "gray", "image.interpolation": "nearest",
    })  # fmt: skip


style()


def show(fig, alt, caption, width=None):
    """Display a figure in the notebook, with alternative text and a caption, and close it.

    The built book puts a number before the caption.

    Args:
        fig: A matplotlib figure.
        alt: What the figure shows, in a sentence, for who does not see it; nbval compares it, so computed numbers in it
            must not vary.
        caption: What to look at, in one sentence, for who does; compared likewise. Plain text, without mathematics.
        width: CSS pixels to show it at; by default 96 an inch of the figure. It never exceeds the page's width.

    Raises:
        TypeError: ``fig`` is not a figure, or ``alt`` or ``caption`` is not a string.
        ValueError: ``alt`` or ``caption`` is empty, shorter than 20 characters or a file name, or they are the same;
            ``width`` is not positive.
    """
    from IPython.display import HTML, display  # only a notebook needs it

    if not isinstance(fig, mpl.figure.Figure):
        raise TypeError(f"fig must be a matplotlib figure, got {type(fig).__name__}")
    try:
        alt, caption = _checked_words("alt", alt), _checked_words("caption", caption)
        if caption == alt:
            raise ValueError("caption must say what to look at, alt what is there; both are the same text")
        words = f"<figcaption>{html.escape(caption)}</figcaption>"
        shown = f'<figure class="cnnbook-figure">{_img(fig, alt, width)}{words}</figure>'
        display(HTML(shown))
    finally:
        plt.close(fig)  # or the notebook draws it a second time


def _img(fig, alt, width):
    width = round(96 * fig.get_figwidth()) if width is None else width
    if not width > 0:
        raise ValueError(f"width must be a positive number of pixels, got {width!r}")
    png = io.BytesIO()
    fig.savefig(png, format="png", dpi=160, metadata={"Software": None})  # no version in it: the same bytes again
    data = base64.b64encode(png.getvalue()).decode()
    css = f"width:{width}px;max-width:100%;height:auto;background:#fff;border-radius:6px"
    return f'<img src="data:image/png;base64,{data}" alt="{html.escape(alt)}" class="cnnbook-figure" style="{css}">'


def _checked_words(name, words):
    if not isinstance(words, str):
        raise TypeError(f"{name} must be a string, got {type(words).__name__}")
    words = " ".join(words.split())
    is_path = re.fullmatch(r"\S*(/|\\)\S*|.*\.(png|jpe?g|svg|gif|pdf|webp)", words, re.IGNORECASE)
    if is_path or len(words) < _LEAST_WORDS:
        raise ValueError(f"{name} must say in {_LEAST_WORDS} characters or more what the figure shows, got {words!r}")
    return words


def _grid(count, columns, tile=1.5, titles=False, tall=1.0):
    """A figure at most ``WIDTH`` wide of ``count`` tiles, ``tall`` times as high as wide, and its axes, all empty."""
    columns = min(count, 6) if columns is None else columns
    if columns < 1:
        raise ValueError(f"columns must be >= 1, got {columns}")
    rows, side = math.ceil(count / columns), min(tile, WIDTH / columns)
    size = (max(columns * side, 2.0), rows * (side * tall + 0.3 * titles))
    fig, axes = plt.subplots(rows, columns, figsize=size, squeeze=False)
    for ax in axes.flat:
        ax.set_axis_off()
    return fig, axes.ravel()[:count]


def images(arrays, titles=None, columns=None, cmap="gray", limits=None, large=False):
    """Images side by side.

    Args:
        arrays: Images ``(height, width)``, ``(height, width, 1)`` or ``(height, width, 3)``; a stacked array will do.
        titles: One text an image.
        columns: Images in a row; by default up to six, or two large ones.
        cmap: Colour map of images without colours.
        limits: ``(darkest, brightest)`` value for all of them, "shared" for their common range, by default each
            image's own range.
        large: As large as the page allows, for photographs of one shape; else tiles of 1.5 inches at most.

    Raises:
        ValueError: there is no image, or one of another shape; titles are more or fewer; ``columns`` is below 1.
    """
    arrays = [np.asarray(a) for a in arrays]
    arrays = [a[..., 0] if a.ndim == 3 and a.shape[-1] == 1 else a for a in arrays]
    for a in arrays:
        if a.ndim not in (2, 3) or (a.ndim == 3 and a.shape[-1] not in (3, 4)):
            raise ValueError(f"arrays must hold images (height, width[, 1 or 3]), got one of shape {a.shape}")
    titles = _one_each("titles", titles, arrays)
    if isinstance(limits, str) and limits == "shared":
        limits = min(a.min() for a in arrays), max(a.max() for a in arrays)
    low, high = (None, None) if limits is None else limits
    page = {"tile": WIDTH, "tall": arrays[0].shape[0] / arrays[0].shape[1]} if large else {}
    columns = 2 if large and columns is None else columns
    fig, axes = _grid(len(arrays), columns, titles=any(map(str, titles)), **page)
    for ax, array, title in zip(axes, arrays, titles, strict=True):
        ax.imshow(array, cmap=cmap, vmin=low, vmax=high)
        ax.set_title(title, fontsize=12 if large else 11)
    return fig


def kernels(weights, titles=None, columns=None):
    """A convolution's kernels as tiles; white is zero, red positive, blue negative, one scale for all.

    Args:
        weights: ``(height, width, in, out)`` as Keras has them, or ``(height, width, out)``. With one input channel
            the tiles are the filters; with several, a row is an input channel and a column a filter.
        titles: One text a tile.
        columns: Tiles in a row, with one input channel; by default up to six.
    """
    weights = np.asarray(weights)
    if weights.ndim == 3:
        weights = weights[:, :, None, :]
    if weights.ndim != 4 or 0 in weights.shape:
        raise ValueError(f"weights must be (height, width, in, out), got shape {weights.shape}")
    inputs, filters = weights.shape[2:]
    tiles = weights.transpose(2, 3, 0, 1).reshape(-1, *weights.shape[:2])
    titles = _one_each("titles", titles, tiles)
    fig, axes = _grid(len(tiles), filters if inputs > 1 else columns, tile=1.0, titles=any(map(str, titles)))
    largest = np.abs(weights).max() or 1.0
    for ax, tile, title in zip(axes, tiles, titles, strict=True):
        drawn = ax.imshow(tile, cmap="RdBu_r", vmin=-largest, vmax=largest)
        ax.add_patch(plt.Rectangle((0, 0), 1, 1, transform=ax.transAxes, fill=False, edgecolor="#888888"))
        ax.set_title(title, fontsize=11)
    fig.colorbar(drawn, ax=list(axes), shrink=0.9, aspect=12, format="{x:.2g}")
    return fig


def curves(
    histories, xlabel="epoch", ylabel="", references=None, log=False, percent=False, steps=None, each=False, ax=None
):
    """Training curves over several seeds: the mean as a line, lowest to highest as a band.

    Args:
        histories: ``{label: runs}``, where ``runs`` is one sequence of numbers, or several of one length (one a seed).
        xlabel, ylabel: What the axes show.
        references: ``{label: value}``, drawn as horizontal lines, such as the paper's figure.
        log: Logarithmic vertical axis.
        percent: The values are fractions, to be written as per cent.
        steps: ``{label: where its points stand}``; by default at 1, 2, 3 and so on.
        each: Every seed as a thin line, in place of the band.
        ax: The axes to draw on, in place of a new figure's.
    """
    ax = plt.subplots()[1] if ax is None else ax
    marks = ["-", "--", "-.", ":"]  # so that the curves differ without colour as well
    for i, (label, runs) in enumerate(histories.items()):
        try:
            runs = np.atleast_2d(np.asarray(runs, dtype=float))
        except ValueError:
            raise ValueError(f"histories[{label!r}] must hold runs of one length, got different lengths") from None
        if runs.ndim != 2 or not runs.size:
            raise ValueError(f"histories[{label!r}] must be (seeds, epochs), got shape {runs.shape}")
        at, seeds = steps[label] if steps else np.arange(1, runs.shape[1] + 1), len(runs)
        name = label if seeds == 1 else f"{label} (mean of {seeds})"
        dot = "o" if runs.shape[1] == 1 else None  # one point makes no line
        (line,) = ax.plot(at, runs.mean(axis=0), marks[i % len(marks)], marker=dot, label=name)
        if seeds > 1 and each:
            ax.plot(at, runs.T, color=line.get_color(), alpha=0.4, linewidth=0.7)
        elif seeds > 1:
            ax.fill_between(at, runs.min(axis=0), runs.max(axis=0), color=line.get_color(), alpha=0.2, linewidth=0)
    for i, (label, value) in enumerate((references or {}).items()):
        ax.axhline(value, color=INK, linewidth=1.2, linestyle=(":", "-.", "--")[i % 3], label=label)
    ax.set_xlabel(xlabel)
    ax.set_ylabel(ylabel)
    ax.xaxis.set_major_locator(mpl.ticker.MaxNLocator(integer=True))
    if log:
        ax.set_yscale("log")
    if percent:
        ax.yaxis.set_major_formatter(mpl.ticker.FuncFormatter(lambda y, _: f"{100 * y:.3g}%"))
        ax.yaxis.set_minor_formatter(mpl.ticker.NullFormatter())
    ax.legend()
    return ax.figure


def matrices(arrays, titles=None, highlights=None, signs=None):
    """Small matrices side by side, the numbers written in their cells: input, kernel and output of a convolution.

    Args:
        arrays: Arrays of one or two axes; one axis is drawn as a row.
        titles: One text an array.
        highlights: For each array None or a window ``(row, column, height, width)`` to colour.
        signs: What stands between them, one text fewer than arrays, such as ``["∗", "="]``.
    """
    arrays = [np.atleast_2d(np.asarray(a)) for a in arrays]
    if any(a.ndim != 2 or not a.size for a in arrays):
        raise ValueError(f"arrays must have one or two axes, got shapes {[a.shape for a in arrays]}")
    titles, highlights = _one_each("titles", titles, arrays), _one_each("highlights", highlights, arrays, None)
    signs = [""] * (len(arrays) - 1) if signs is None else list(signs)
    if len(signs) != len(arrays) - 1:
        raise ValueError(f"signs must be {len(arrays) - 1} for {len(arrays)} arrays, got {len(signs)}")
    left, gap, edge, header = 0.0, 1.0, 0.1, 0.9 * any(titles)  # in cells
    across, tallest = sum(a.shape[1] for a in arrays) + gap * len(signs), max(a.shape[0] for a in arrays)
    cell = min(0.5, WIDTH / (across + 2 * edge))  # inches
    fig = plt.figure(figsize=((across + 2 * edge) * cell, (tallest + header + 2 * edge) * cell), layout="none")
    ax = fig.add_axes((0, 0, 1, 1), xlim=(-edge, across + edge), ylim=(tallest + edge, -edge - header))
    ax.set_axis_off()
    for i, (array, title, window) in enumerate(zip(arrays, titles, highlights, strict=True)):
        top = (tallest - array.shape[0]) / 2
        _cells(ax, array, left, top, window, 72 * cell)
        ax.text(left + array.shape[1] / 2, top - 0.2, title, ha="center", va="bottom", fontsize=min(12, 30 * cell))
        left += array.shape[1]
        if i < len(signs):
            ax.text(left + gap / 2, tallest / 2, signs[i], ha="center", va="center", fontsize=min(18, 36 * cell))
            left += gap
    return fig


def channel_sum(inputs, kernels, parts, names=None, at=(0, 0)):
    """A convolution over several channels: a row for each, input ⋆ kernel = part, and beside them the parts' sum.

    Args:
        inputs, kernels, parts: One matrix a channel: what is read, padding included; the kernel; what comes out of the
            two with stride 1.
        names: One text a channel.
        at: ``(row, column)`` of the output whose window is coloured.
    """
    rows = [tuple(np.atleast_2d(np.asarray(a)) for a in row) for row in zip(inputs, kernels, parts, strict=True)]
    names = _one_each("names", names, rows)
    for x, kernel, part in rows:
        if tuple(np.subtract(x.shape, kernel.shape) + 1) != part.shape or part.shape != rows[0][2].shape:
            raise ValueError(f"parts must be of the size that inputs and kernels make at stride 1, the same for each "
                             f"channel, got input {x.shape}, kernel {kernel.shape}, part {part.shape}")  # fmt: skip
    (high, wide), (row, column) = np.max([x.shape for x, _, _ in rows], axis=0), at
    taps, outputs = max(kernel.shape[1] for _, kernel, _ in rows), rows[0][2].shape
    starts = np.cumsum([0, wide + 1, taps + 1, outputs[1] + 1])  # of the four columns, in cells
    across, step = starts[3] + outputs[1], high + 0.9
    cell = min(0.5, WIDTH / (across + 0.2))  # inches
    fig = plt.figure(figsize=((across + 0.2) * cell, (len(rows) * step + 0.2) * cell), layout="none")
    ax = fig.add_axes((0, 0, 1, 1), xlim=(-0.1, across + 0.1), ylim=(len(rows) * step + 0.1, -0.1))
    ax.set_axis_off()
    write = functools.partial(ax.text, ha="center", va="center", fontsize=min(18, 36 * cell))
    for i, (arrays, name) in enumerate(zip(rows, names, strict=True)):
        middle = i * step + 0.9 + high / 2
        windows = (row, column, *arrays[1].shape), None, (row, column, 1, 1)
        for array, left, window in zip(arrays, starts[:3], windows, strict=True):
            _cells(ax, array, left, middle - array.shape[0] / 2, window, 72 * cell)
        ax.text(wide / 2, middle - high / 2 - 0.2, name, ha="center", va="bottom", fontsize=min(12, 30 * cell))
        write(starts[1] - 0.5, middle, "⋆")
        write(starts[2] - 0.5, middle, "=")
        if i:
            write(starts[2] + outputs[1] / 2, middle - step / 2, "+")
    middle = 0.45 + len(rows) * step / 2
    write(starts[3] - 0.5, middle, "=")
    _cells(ax, sum(part for _, _, part in rows), starts[3], middle - outputs[0] / 2, (row, column, 1, 1), 72 * cell)
    return fig


def _cells(ax, array, left, top, window, points):
    """One matrix at (left, top), in cells of ``points`` points."""
    whole = np.all(array == np.round(array))
    texts = np.vectorize(lambda v: f"{v:.{0 if whole else 2}f}", otypes=[str])(array)
    size = points * min(0.5, 1.3 / max(map(len, texts.flat)))
    for (row, column), text in np.ndenumerate(texts):
        ax.add_patch(plt.Rectangle((left + column, top + row), 1, 1, facecolor="white", edgecolor="#888888"))
        ax.text(left + column + 0.5, top + row + 0.52, text, ha="center", va="center", fontsize=size)
    if window is not None:
        row, column, height, width = window
        place, colour = (left + column, top + row), COLOURS["orange"]
        ax.add_patch(plt.Rectangle(place, width, height, facecolor=colour, alpha=0.2))
        ax.add_patch(plt.Rectangle(place, width, height, fill=False, edgecolor=colour, linewidth=3))


def chain(boxes, forwards, back):
    """A computation as a row of boxes: over each arrow forwards its own slope, under those back their product.

    Args:
        boxes: One text a box, from the parameter to the loss.
        forwards, back: One text an arrow, in the order of the boxes, so one fewer than they are.
    """
    for name, texts in (("forwards", forwards), ("back", back)):
        if len(texts) != len(boxes) - 1 or not len(texts):
            raise ValueError(f"{name} must be one for each arrow between {len(boxes)} boxes, got {len(texts)}")
    fig, ax = plt.subplots(figsize=(WIDTH, 2))
    ax.set(xlim=(0, len(boxes)), ylim=(-1, 1))
    ax.set_axis_off()
    for i, text in enumerate(boxes):
        frame = {"boxstyle": "round,pad=0.5", "facecolor": "white", "edgecolor": INK}
        ax.text(i + 0.5, 0, text, ha="center", va="center", bbox=frame)
    for start, above, below in zip(range(1, len(boxes)), forwards, back, strict=True):
        for text, side, name in ((above, 1, "blue"), (below, -1, "orange")):
            arrow = {"arrowstyle": "-|>", "linewidth": 1.6, "color": COLOURS[name]}
            ax.annotate("", (start + 0.18 * side, 0.2 * side), (start - 0.18 * side, 0.2 * side), arrowprops=arrow)
            ax.text(start, 0.32 * side, text, color=COLOURS[name], ha="center", va="bottom" if side > 0 else "top")
    return fig


def neighbourhoods(words, word, atoms, atom, bonds, spots):
    """Three neighbourhoods, of a pixel, a word and an atom: the thing itself is amber, its neighbours are blue.

    Args:
        words: The words of a sentence, and ``word`` the place of the amber one.
        atoms: One text an atom, and ``atom`` the number of the amber one.
        bonds: Pairs of numbers of atoms; bonded atoms are neighbours.
        spots: Where each atom stands, ``(x, y)``.
    """
    spots = _one_each("spots", spots, atoms)
    for name, number, things in (("word", word, words), ("atom", atom, atoms)):
        if number not in range(len(things)):
            raise ValueError(f"{name} must be one of 0 to {len(things) - 1}, got {number!r}")
    if wrong := [bond for bond in bonds if not set(bond) <= set(range(len(atoms)))]:
        raise ValueError(f"bonds must join atoms 0 to {len(atoms) - 1}, got {wrong[0]!r}")
    near = {"itself": COLOURS["amber"], "near": COLOURS["sky"], "far": "white"}
    fig, (first, middle, last) = plt.subplots(1, 3, figsize=(WIDTH, 2.4), width_ratios=[1, 1.1, 1.5])
    for ax, title in ((first, "pixels"), (middle, "words"), (last, "atoms")):
        ax.set_title(title)
        ax.set_axis_off()
    first.set(xlim=(0, 5), ylim=(0, 5), aspect="equal")
    for row, column in np.ndindex(5, 5):
        apart = max(abs(row - 2), abs(column - 2))
        shade = near["itself" if not apart else "near" if apart == 1 else "far"]
        first.add_patch(plt.Rectangle((column, row), 1, 1, facecolor=shade, edgecolor=INK, linewidth=0.6))
    middle.set(xlim=(0, 1), ylim=(len(words) - 0.4, -0.6))
    for i, text in enumerate(words):
        shade = near["itself" if i == word else "near" if abs(i - word) == 1 else "far"]
        middle.text(0.5, i, text, ha="center", va="center", bbox={"facecolor": shade, "edgecolor": INK})
    for i, j in bonds:
        last.plot(*zip(spots[i], spots[j], strict=True), color="#999999", zorder=0)
    for i, text in enumerate(atoms):
        shade = near["itself" if i == atom else "near" if any({i, atom} == set(bond) for bond in bonds) else "far"]
        ring = {"boxstyle": "circle", "facecolor": shade, "edgecolor": INK}
        last.text(*spots[i], text, ha="center", va="center", bbox=ring)
    last.margins(0.2)
    return fig


def boltzmann(weights, below, above):
    """A restricted Boltzmann machine: visible units below, hidden ones above, each with its bias, and all weights.

    Args:
        weights: ``(visible, hidden)``.
        below, above: The biases of the visible and of the hidden units, one a unit.

    Raises:
        ValueError: biases are more or fewer than the units.
    """
    weights = np.asarray(weights)
    if weights.shape != (len(below), len(above)):
        raise ValueError(f"weights must be (visible, hidden) = {len(below), len(above)}, got shape {weights.shape}")
    fig, ax = plt.subplots(figsize=(WIDTH, 3.2))
    left = [np.arange(len(biases)) * 2.0 + 1 - len(biases) for biases in (below, above)]
    for (i, j), weight in np.ndenumerate(weights):
        start, end = np.array([left[0][i], 0]), np.array([left[1][j], 2])
        ax.plot(*zip(start, end, strict=True), "-" if weight > 0 else "--", color="0.7" if weight else "0.9", zorder=1)
        spot = start + (0.3 if (i + j) % 2 else 0.62) * (end - start)
        ax.text(*spot, f"{weight:g}", ha="center", va="center", bbox={"fc": "white", "ec": "none", "pad": 1})
    for y, name, biases, colour in ((0, "v", below, "sky"), (2, "h", above, "amber")):
        for k, (x, bias) in enumerate(zip(left[y // 2], biases, strict=True), start=1):
            ax.scatter(x, y, 1300, color=COLOURS[colour], edgecolor="0.3", zorder=2)
            ax.text(x, y, f"${name}_{k}$", ha="center", va="center", zorder=3)
            ax.text(x, y + (0.55 if y else -0.6), f"bias {bias:g}", ha="center", va="center")
    ax.set(xlim=(-len(below) - 0.2, len(below) + 0.2), ylim=(-0.9, 2.8), xticks=[], yticks=[], frame_on=False)
    return fig


def belief_net(layers, labels):
    """The machines of a deep belief network in the order in which they learn, and the network that they become.

    Args:
        layers: Names of the layers, from the image up, three or more; each neighbouring pair is a machine.
        labels: Name of the units that stand beside the last layer but one, in the last machine.

    Raises:
        ValueError: fewer than three layers.
    """
    if len(layers) < 3:
        raise ValueError(f"layers must be three or more, got {layers!r}")
    fig, ax = plt.subplots(figsize=(WIDTH, 0.8 + 1.1 * len(layers)))
    top, apart = len(layers) - 1, 2.3
    whole = apart * top + 0.9

    def box(x, level, text, colour, width=2.0):
        ax.add_patch(plt.Rectangle((x - width / 2, level - 0.17), width, 0.34, fc=COLOURS[colour], ec="0.3"))
        ax.text(x, level, text, ha="center", va="center", fontsize=10)

    def arrow(x, low, heads, line="-"):
        ax.annotate("", (x, low + 0.81), (x, low + 0.19), arrowprops={"arrowstyle": heads, "lw": 1.6, "ls": line})

    for k in range(top):
        x = apart * k
        ax.text(x, -0.5, f"machine {k + 1}", ha="center", va="center")
        arrow(x - 0.35 if k == top - 1 else x, k, "<->")
        box(x, k, layers[k], "sky"), box(x, k + 1, layers[k + 1], "amber")
    for level, name in enumerate(layers):
        box(whole, level, name, "amber" if level == top else "sky")
        if level < top - 1:
            arrow(whole - 0.35, level, "<-"), arrow(whole + 0.35, level, "->", "--")
    arrow(whole - 0.35, top - 1, "<->")
    for x in (apart * (top - 1), whole):
        box(x + 0.38, top - 0.62, labels, "pink", 1.24)
    ax.text(whole, -0.5, "the network", ha="center", va="center")
    ax.set(xlim=(-1.1, whole + 1.1), ylim=(-0.7, top + 0.3), xticks=[], yticks=[], frame_on=False)
    return fig


def draw(*args, **kwargs):
    """The former name of :func:`cnnbook.diagrams.draw`, to go with the next release."""
    from cnnbook import diagrams  # which loads Keras

    warnings.warn("figures.draw is now diagrams.draw, and goes with the next release", DeprecationWarning, stacklevel=2)
    return diagrams.draw(*args, **kwargs)


def _one_each(name, values, things, missing=""):
    """``values`` as a list as long as ``things``; None gives the missing value for each."""
    values = [missing] * len(things) if values is None else list(values)
    if len(values) != len(things):
        raise ValueError(f"{name} must be one for each of the {len(things)}, got {len(values)}")
    if not len(things):
        raise ValueError(f"there is nothing to draw: give at least one, with its {name} or without")
    return values
