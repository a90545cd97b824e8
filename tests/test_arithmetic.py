"""Closed forms against published numbers, and against counting by hand on settings drawn by hypothesis."""

from cnnbook import arithmetic
from cnnbook.arithmetic import (
    ReceptiveField,
    conv_macs,
    conv_parameters,
    dense_macs,
    dense_parameters,
    output_size,
    padding_amounts,
    receptive_field,
)

import doctest
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

drawn = settings(derandomize=True, deadline=None)  # the same settings on every run, however slow the machine

VGG16 = (64, 64, "pool", 128, 128, "pool", 256, 256, 256, "pool", 512, 512, 512, "pool", 512, 512, 512, "pool")


def test_examples_in_the_docstrings():
    results = doctest.testmod(arithmetic)
    assert results.attempted == 8
    assert results.failed == 0


def test_needs_neither_numpy_nor_keras():
    program = "import sys; from cnnbook import arithmetic; print(sorted({'numpy', 'keras'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


# Published numbers.


def test_lenet5():
    """LeCun et al. 1998, section II.B: sizes and trainable parameters of C1, C5 and F6."""
    sizes = [32]
    for kernel, stride in [(5, 1), (2, 2), (5, 1), (2, 2), (5, 1)]:
        sizes.append(output_size(sizes[-1], kernel, stride=stride))
    assert sizes == [32, 28, 14, 10, 5, 1]
    assert conv_parameters((5, 5), 1, 6) == 156
    assert conv_parameters((5, 5), 16, 120) == 48_120
    assert dense_parameters(120, 84) == 10_164


def test_alexnet():
    """Krizhevsky et al. 2012: 96 kernels of 11x11x3 give 55x55; its second layer sees half of the maps."""
    assert output_size((227, 227), (11, 11), stride=4) == (55, 55)
    assert output_size(55, 3, stride=2) == 27
    assert conv_parameters((11, 11), 3, 96, bias=False) == 34_848
    assert conv_parameters((5, 5), 96, 256, groups=2) == 256 * (5 * 5 * 48 + 1)


def test_vgg16():
    """Simonyan & Zisserman 2015: 138 million parameters, 138,357,544 in the released weights; 15.5 billion MACs."""
    size, channels, parameters, macs = (224, 224), 3, 0, 0
    for filters in VGG16:
        if filters == "pool":
            size = output_size(size, 2, stride=2)
            continue
        size = output_size(size, 3, padding="same")
        parameters += conv_parameters((3, 3), channels, filters)
        macs += conv_macs(size, (3, 3), channels, filters)
        channels = filters
    for inputs, units in [(7 * 7 * 512, 4096), (4096, 4096), (4096, 1000)]:
        parameters += dense_parameters(inputs, units)
        macs += dense_macs(inputs, units)
    assert size == (7, 7)
    assert parameters == 138_357_544
    assert macs == 15_470_264_320


def test_naive_inception_module():
    """The lecture's 854 million operations: 128 1x1, 192 3x3 and 96 5x5 kernels on 28x28x256."""
    assert sum(conv_macs((28, 28), (k, k), 256, f) for k, f in [(1, 128), (3, 192), (5, 96)]) == 854_196_224


@pytest.mark.parametrize(
    ("layers", "field", "jump"),
    [
        ([(11, 4), (3, 2), (5, 1), (3, 2), (3, 1), (3, 1), (3, 1), (3, 2)], 195, 32),
        ([(2, 2) if layer == "pool" else (3, 1) for layer in VGG16], 212, 32),
        (
            [(7, 2), (3, 2)]
            + [layer for units in (3, 4, 6) for layer in [(3, 1)] * (units - 1) + [(3, 2)]]
            + [(3, 1)] * 3,
            483,
            32,
        ),
    ],
    ids=["alexnet_v2", "vgg_16", "resnet_v1_50"],
)
def test_published_receptive_fields(layers, field, jump):
    """Araujo et al. 2019, the table of networks: receptive field and effective stride."""
    assert receptive_field(layers)[-1] == (field, jump)


# Counting by hand.

spans = st.integers(1, 9)
small = st.integers(1, 4)


@drawn
@given(size=st.integers(1, 20), kernel=small, stride=small, dilation=small, before=spans, after=spans)
def test_output_size_counts_the_places(size, kernel, stride, dilation, before, after):
    cells = before + size + after
    places = [i for i in range(0, cells, stride) if i + dilation * (kernel - 1) < cells]
    setting = {"stride": stride, "dilation": dilation, "padding": (before, after)}
    if places:
        assert output_size(size, kernel, **setting) == len(places)
    else:
        with pytest.raises(ValueError, match=r"^kernel must fit into the padded input"):
            output_size(size, kernel, **setting)


@drawn
@given(size=st.integers(1, 20), kernel=small, stride=small, dilation=small)
def test_same_is_the_least_padding_that_keeps_ceil_of_size_over_stride(size, kernel, stride, dilation):
    setting = {"stride": stride, "dilation": dilation}
    before, after = padding_amounts(size, kernel, padding="same", **setting)
    wanted = -(-size // stride)
    assert after - before in (0, 1)
    assert output_size(size, kernel, padding="same", **setting) == wanted
    if after:
        with_one_less = size + before + after - 1 - dilation * (kernel - 1)
        assert len(range(0, with_one_less, stride)) < wanted


@drawn
@given(size=st.integers(1, 20), kernel=small, dilation=small)
def test_full_has_every_place_where_kernel_and_input_touch(size, kernel, dilation):
    span = dilation * (kernel - 1) + 1
    assert padding_amounts(size, kernel, padding="full", dilation=dilation) == (span - 1, span - 1)
    assert output_size(size, kernel, padding="full", dilation=dilation) == size + span - 1


@drawn
@given(layers=st.lists(st.tuples(small, small, small), min_size=1, max_size=4))
def test_receptive_field_counts_the_cells_seen(layers):
    """Follow one output cell, and its neighbour, back through the chain to the input cells they reach."""
    for depth, found in enumerate(receptive_field(layers), start=1):
        reached = []
        for start in (0, 1):
            cells = {start}
            for kernel, stride, dilation in reversed(layers[:depth]):
                cells = {cell * stride + dilation * tap for cell in cells for tap in range(kernel)}
            reached.append(cells)
        assert found.field == max(reached[0]) - min(reached[0]) + 1
        assert found.jump == min(reached[1]) - min(reached[0])


@drawn
@given(sizes=st.tuples(spans, spans), kernels=st.tuples(small, small), strides=st.tuples(small, small))
def test_axes_are_independent(sizes, kernels, strides):
    each = [output_size(*one, padding="same") for one in zip(sizes, kernels, strict=True)]
    assert output_size(sizes, kernels, padding="same") == tuple(each)
    fields = [receptive_field([layer, layer]) for layer in zip(kernels, strides, strict=True)]
    for both, *apart in zip(receptive_field([(kernels, strides)] * 2), *fields, strict=True):
        assert both == tuple(zip(*apart, strict=True))


@drawn
@given(kernel=st.tuples(small, small), channels=small, filters=small, groups=small, output=spans)
def test_every_weight_is_counted_once(kernel, channels, filters, groups, output):
    """A filter has a weight for each tap and each channel of its own group, and is applied once per output cell."""
    channels, filters = channels * groups, filters * groups
    weights = [
        (tap_row, tap_column, channel, unit)
        for tap_row in range(kernel[0])
        for tap_column in range(kernel[1])
        for channel in range(channels)
        for unit in range(filters)
        if channel * groups // channels == unit * groups // filters
    ]
    assert conv_parameters(kernel, channels, filters, groups=groups, bias=False) == len(weights)
    assert conv_parameters(kernel, channels, filters, groups=groups) == len(weights) + filters
    assert conv_macs((output, output), kernel, channels, filters, groups=groups) == output**2 * len(weights)


def test_ints_give_ints_and_tuples_give_tuples():
    assert output_size(28, 5) == 24
    assert output_size((28,), 5) == (24,)
    assert output_size(28, (5, 3), stride=[1, 2]) == (24, 13)
    assert padding_amounts((7, 7), 3, padding=(1, (0, 2))) == ((1, 1), (0, 2))
    assert padding_amounts((7, 7, 7), 3, padding=(0, 2)) == ((0, 2),) * 3
    assert receptive_field([(3, 2), ((1, 3), 1)]) == [((3, 3), (2, 2)), ((3, 7), (2, 2))]
    assert receptive_field([]) == []
    assert isinstance(receptive_field(iter([(3, 1)]))[0], ReceptiveField)


def test_two_plain_numbers_for_two_axes_are_refused_when_they_differ():
    """NumPy would read before and after, PyTorch height and width; equal numbers mean the same to both."""
    assert padding_amounts((7, 7), 3, padding=(1, 1)) == ((1, 1), (1, 1))
    with pytest.raises(ValueError, match=r"two ways: write \(\(1, 2\), \(1, 2\)\) .* \(\(1, 1\), \(2, 2\)\)"):
        padding_amounts((7, 7), 3, padding=(1, 2))


# Arguments that are not allowed.

never_a_count = st.one_of(
    st.none(), st.booleans(), st.floats(), st.text(), st.integers(max_value=0), st.complex_numbers(), st.binary(),
    st.just(()), st.just({3: 3}), st.lists(st.booleans() | st.floats() | st.integers(max_value=0), max_size=3),
)  # fmt: skip
never_a_padding = st.one_of(
    st.none(), st.booleans(), st.floats(), st.integers(max_value=-1), st.text(max_size=3), st.binary(),
    st.lists(st.booleans() | st.floats() | st.text(max_size=3) | st.integers(max_value=-1), max_size=4),
    st.just([1, 2, 3]), st.just([[1, 2, 3]]), st.just([[[1]]]),
)  # fmt: skip

GOOD = {
    output_size: {"size": 9, "kernel": 3, "stride": 1, "padding": 0, "dilation": 1},
    padding_amounts: {"size": 9, "kernel": 3, "stride": 1, "padding": 0, "dilation": 1},
    conv_parameters: {"kernel": 3, "channels": 2, "filters": 2, "groups": 2, "bias": True},
    dense_parameters: {"inputs": 3, "units": 2, "bias": True},
    conv_macs: {"output": 4, "kernel": 3, "channels": 2, "filters": 2, "groups": 2},
    dense_macs: {"inputs": 3, "units": 2},
}
NEVER = {"padding": never_a_padding, "bias": never_a_count.filter(lambda value: not isinstance(value, bool))}


@pytest.mark.parametrize(
    ("function", "argument"),
    [pytest.param(f, argument, id=f"{f.__name__}-{argument}") for f, good in GOOD.items() for argument in good],
)
@settings(drawn, max_examples=60)
@given(data=st.data())
def test_a_wrong_argument_is_named(function, argument, data):
    function(**GOOD[function])
    value = data.draw(NEVER.get(argument, never_a_count))
    with pytest.raises((ValueError, TypeError), match=rf"\b{argument}\b.* must .*got ") as error:
        function(**GOOD[function] | {argument: value})
    assert repr(value) in str(error.value) or isinstance(value, list)  # of a list, the member at fault may be named


@drawn
@given(value=never_a_count)
def test_a_wrong_layer_is_named(value):
    for layer in [(value, 1), (3, value), (3, 1, value)]:
        with pytest.raises((ValueError, TypeError), match=r"layers\[1\]: (kernel|stride|dilation)\b.* must .*got "):
            receptive_field([(3, 1), layer])


@pytest.mark.parametrize("layers", [None, 3, "3,1", [3], ["31"], [(3,)], [(3, 1, 1, 1)], [((3, 3), 1), ((3, 3, 3), 1)]])
def test_a_chain_that_is_none_is_refused(layers):
    with pytest.raises((ValueError, TypeError), match=r"^layers.* must .*got "):
        receptive_field(layers)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: output_size(3, 5), r"kernel must fit into the padded input: it spans 5 cells .* has 3 \(size 3,"),
        (lambda: output_size((4, 4, 4), (3, 3)), "size, kernel, stride, dilation must have the same number of axes"),
        (lambda: output_size(9, 3, padding="sam"), 'padding must be "valid", "same", "full", an int .* got \'sam\''),
        (lambda: output_size(9, 3, padding=((1, 1), (1, 1))), r"padding must be .* for 1 axis"),
        (lambda: conv_parameters(3, 4, 6, groups=3), r"groups must divide channels \(4\) and filters \(6\), got 3"),
        (lambda: conv_parameters(3, 6, 4, groups=3), r"groups must divide channels \(6\) and filters \(4\), got 3"),
    ],
)  # fmt: skip
def test_what_does_not_fit_together_is_said(call, message):
    with pytest.raises(ValueError, match=message):
        call()
