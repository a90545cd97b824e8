"""A network drawn as blocks, in the book's one style; :func:`cnnbook.figures.show` shows the figure."""

from cnnbook import audit
from cnnbook.figures import COLOURS, INK, WIDTH

import dataclasses
import functools
import itertools
import math
import re

import matplotlib.pyplot as plt


def draw(model, title=None, columns=4):
    """A network as blocks, input first: feature maps as stacked squares, vectors as columns.

    Branches from one place to another are one block; where they are longer than 20 layers or get smaller in between,
    the longest is drawn. Layers in a row are one block if their outputs have one shape and their names begin alike, up
    to the first underscore. If more than 16 blocks remain, names that begin alike are enough, or else one height and
    width. Padding is not drawn, and other outputs are named below. Sides grow with the square root of the maps' sides;
    up to eight squares stand for the maps.

    Args:
        model: A functional or Sequential ``keras.Model``.
        title: What stands above.
        columns: Blocks in a row; 4 stay legible on a phone.

    Raises:
        ValueError: ``columns`` is under 1, or the size of an output is not known.
    """
    if not isinstance(columns, int) or columns < 1:
        raise ValueError(f"columns must be an int >= 1, got {columns!r}")
    found = audit.audit(model)
    if vague := [row.name for row in found.layers if row.memory is None]:
        raise ValueError(f"model must give each layer's output a known size, and has none for {', '.join(vague)}")
    blocks, others = _blocks(found), [found.layers[end] for end in found.ends[1:]]
    rows, cell, height, header = math.ceil(len(blocks) / columns), WIDTH / columns, 1.95, 0.4 * bool(title)  # inches
    down = rows * height + header + 0.3 * len(others)
    fig = plt.figure(figsize=(WIDTH, down), layout="none")
    ax = fig.add_axes((0, 0, 1, 1), xlim=(0, WIDTH), ylim=(down, 0))
    ax.set_axis_off()
    write = functools.partial(ax.text, ha="center", va="center", parse_math=False)
    write(WIDTH / 2, header / 2, title or "", fontsize=13)
    largest = max((max(block.shape[:-1]) for block in blocks if len(block.shape) > 1), default=1)
    for i, block in enumerate(blocks):
        x, y = (i % columns + 0.5) * cell, header + i // columns * height
        _block(ax, block, x, y + 0.87, largest, cell)
        kind = {"InputLayer": "", "GlobalAveragePooling2D": "GlobalAverage"}.get(block.kind, block.kind)  # to fit
        lines = block.name, kind, " × ".join(map(str, block.shape))
        for text, at, weight in zip(lines, (0.16, 1.54, 1.75), ("bold", "normal", "normal"), strict=True):
            write(x, y + at, text, fontsize=11 * min(1, 4 / columns, 15 / max(len(text), 1)), weight=weight)
        if i:
            tip = x - cell / 2 + (0.14 if i % columns else 0.24)  # the first of a row has no room to its left
            tail = {"arrowstyle": "-|>", "color": INK, "linewidth": 1.2}
            ax.annotate("", (tip, y + 0.87), (max(tip - 0.26, 0.04), y + 0.87), arrowprops=tail)
    for i, other in enumerate(others):
        shape = " × ".join(map(str, other.shape))
        write(WIDTH / 2, down - 0.3 * (len(others) - i) + 0.1, f"one more output: {other.name}, {shape}", fontsize=11)
    return fig


def _blocks(found):
    """The blocks that are drawn of an audit, each as a row: what its layers share, and the shape of the last."""
    drawn = [[found.layers[i] for i in step] for step in _steps(found)]
    drawn = [step for rows in drawn if (step := [row for row in rows if "Padding" not in row.kind])]
    part = lambda step: re.split(r"[_/]", step[0].name)[0]
    shape = lambda step: tuple(n for n in step[-1].shape if n > 1)  # 1 x 1 x 120 is the vector after it
    side = lambda step: step[-1].shape[:-1] or step[-1].shape
    same = lambda a, b: shape(a) == shape(b) and (part(a) == part(b) or not any(row.parameters for row in b))
    for alike in (same, lambda a, b: same(a, b) or part(a) == part(b), lambda a, b: side(a) == side(b)):
        folded = []
        for step in drawn:
            if folded and alike(folded[-1], step):
                folded[-1] = folded[-1] + step
            else:
                folded.append(step)
        if len(folded) <= 16:
            break
    return [_as_one(step) for step in folded]


def _as_one(rows):
    """A convolution or dense layer and what follows it keep its name; more are called by what their names share."""
    work = [row for row in rows if row.macs != 0] or [row for row in rows if row.parameters] or rows[:1]
    name, kind = work[0].name, work[0].kind
    if len(work) > 1:
        names = [row.name.split("_") for row in work]
        shared = [part[0] for part in itertools.takewhile(lambda part: len(set(part)) == 1, zip(*names, strict=False))]
        name, kind = "_".join(shared) or f"{names[0][0]}–{names[-1][0]}", f"{len(rows)} layers"
    return dataclasses.replace(rows[-1], name=name, kind=kind)


def _steps(found):
    """The numbers of the layers on the way to the first output, in steps that follow each other; see :func:`draw`."""
    reads, needed = found.reads, {found.ends[0]}
    for i in range(found.ends[0], -1, -1):
        if i in needed:
            needed.update(reads[i])
    order = sorted(needed)  # each behind those that it reads
    reach, last = {}, {}  # how many layers lead up to one, and the last that reads it
    for i in order:
        reach[i] = 1 + max((reach[j] for j in reads[i]), default=0)
        last |= dict.fromkeys(reads[i], i)
    gates, far = [], 0  # layers that no connection passes by
    for i in order:
        if far <= i:
            gates.append(i)
        far = max(far, last.get(i, i))
    steps = [[gates[0]]]
    area = lambda i: math.prod(found.layers[i].shape[:-1])
    for before, gate in itertools.pairwise(gates):
        between = [i for i in order if before < i <= gate]
        if reach[gate] - reach[before] <= 20 and all(area(i) == 1 or area(i) >= area(gate) for i in between):
            steps.append(between)
            continue
        way = [gate]
        while (deepest := max(reads[way[-1]], key=reach.get, default=before)) != before:
            way.append(deepest)
        steps += [[i] for i in reversed(way)]
    return steps


def _block(ax, block, x, y, largest, cell):
    """One block centred at (x, y), at most 1 inch high and a little narrower than its cell."""
    kinds = {"Input": "#BBBBBB", "Flatten": "#BBBBBB", "Pool": COLOURS["amber"], "Sampling": COLOURS["amber"],
             "Conv": COLOURS["sky"], "Dense": COLOURS["green"]}  # fmt: skip
    other = COLOURS["sky" if len(block.shape) > 1 else "green"]
    colour = next((kinds[word] for word in kinds if word in block.kind), other)
    style = {"facecolor": colour, "edgecolor": INK, "linewidth": 0.8}
    if len(block.shape) < 2:  # a vector: a column of cells
        cells = min(block.shape[0] if block.shape else 1, 12)
        for i in range(cells):
            ax.add_patch(plt.Rectangle((x - 0.05, y - 0.042 * cells + 0.084 * i), 0.1, 0.084, **style))
        return
    side = lambda n: min(0.75, cell - 0.6) * max(math.sqrt(n / largest), 0.1)
    high, wide = side(block.shape[0]), side(block.shape[1]) if len(block.shape) > 2 else 0.1
    count = min(block.shape[-1], 8)
    for i in range(count):
        shift = 0.042 * (i - (count - 1) / 2)
        ax.add_patch(plt.Rectangle((x - wide / 2 + shift, y - high / 2 + shift), wide, high, **style))
