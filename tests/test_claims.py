"""claims.expect: it shows what was measured beside the claim, and a claim that does not hold raises."""

from cnnbook.claims import expect

import numpy as np
import pytest


@pytest.mark.parametrize("value, band, printed", [
    (0.9731, {"at_least": 0.97}, "0.973, claimed at least 0.97"),
    (0.97, {"at_least": 0.97}, "0.97, claimed at least 0.97"),
    (0.99996, {"at_most": 0.9999999}, "0.99996, claimed at most 0.9999999"),  # 1 would lie outside
    (0.99999995, {"at_least": 0.9999999}, "1, claimed at least 0.9999999"),
    (0.0081, {"at_most": 0.0095}, "0.0081, claimed at most 0.0095"),
    (2.384e-7, {"at_most": 1e-6}, "2.38e-07, claimed at most 1e-06"),
    (3, {"at_least": 1, "at_most": 60000}, "3, claimed between 1 and 60,000"),
    (61706.0, {"at_least": 60000}, "61,706, claimed at least 60,000"),
    (np.float32(0.5), {"at_least": np.float64(0.25)}, "0.5, claimed at least 0.25"),
    (np.float32(0.7), {"at_least": 0.7}, "0.7, claimed at least 0.7"),  # a float32 is below 0.7 by 1e-8
    (np.float32(0.1), {"at_most": 0.1}, "0.1, claimed at most 0.1"),  # and this one is above
    (np.float16(0.1), {"at_least": 0.1}, "0.1, claimed at least 0.1"),
    (np.float16(5), {"at_most": 1e9}, "5, claimed at most 1e+09"),
    (np.array(0.5), {"at_most": 1}, "0.5, claimed at most 1"),
    (float("inf"), {"at_least": 1}, "inf, claimed at least 1"),
    (61706, {"equals": 61706}, "61,706, claimed 61,706"),
    (0.1 + 0.2, {"equals": 0.3, "within": 1e-9}, "0.30000000000000004, claimed 0.3 to within 1e-09"),
    ((28, 28, 6), {"equals": (28, 28, 6)}, "(28, 28, 6), claimed (28, 28, 6)"),
    (np.array([3, 5]), {"equals": [3, 5]}, "[3, 5], claimed [3, 5]"),
    (True, {"equals": True}, "True, claimed True"),
    (float("inf"), {"equals": float("inf")}, "inf, claimed inf"),
    ("tanh", {"equals": "tanh"}, "'tanh', claimed 'tanh'"),
    (np.ones((2, 3)) + 1e-7, {"equals": np.ones((2, 3)), "within": 1e-5},
     "1e-07, claimed at most 1e-05 in each of (2, 3)"),
    (np.ones((2, 3)), {"equals": np.ones((2, 3))}, "0, claimed no difference in each of (2, 3)"),
])  # fmt: skip
def test_a_claim_that_holds_prints_the_value_beside_the_band(capsys, value, band, printed):
    assert expect("accuracy", value, **band) is None
    assert capsys.readouterr().out == f"accuracy: {printed}: holds\n"


@pytest.mark.parametrize("value, band, message", [
    (0.9612, {"at_least": 0.97}, "error: 0.961, claimed at least 0.97: does not hold"),
    (0.96999, {"at_least": 0.97}, "error: 0.96999, claimed"),  # 0.97 would lie inside
    (np.float32(0.6999), {"at_least": 0.7}, "error: 0.6999,"),
    (2.5, {"at_least": 1, "at_most": 2}, "error: 2.5,"),
    (float("nan"), {"at_least": 0}, "error: nan"),
    (float("nan"), {"at_most": 1e9}, "error: nan"),
    (float("nan"), {"equals": float("nan")}, "error: nan"),
    (0.3000001, {"equals": 0.3}, "error: 0.3000001"),
    (2**53 + 1, {"equals": 2**53}, "error: 9,007,199,254,740,993"),
    (float("inf"), {"equals": 1.0, "within": 1}, "error: inf"),
    (61707, {"equals": 61706}, "error: 61,707"),
    (np.ones(3), {"equals": np.zeros(3), "within": 0.5}, r"error: 1, claimed at most 0.5 in each of \(3,\)"),
    (np.array([0.0, np.nan]), {"equals": np.zeros(2), "within": 0.5}, "error: nan"),
    (np.ones(3), {"equals": np.ones((3, 1))}, r"error: shape \(3,\), claimed shape \(3, 1\)"),
    ("relu", {"equals": "tanh"}, "error: 'relu', claimed 'tanh'"),
    (3, {"equals": "tanh"}, "error: 3"),
])  # fmt: skip
def test_a_claim_that_does_not_hold_names_the_measured_value(capsys, value, band, message):
    with pytest.raises(AssertionError, match=message):
        expect("error", value, **band)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("arguments, band, error, message", [
    (("x", 1), {}, ValueError, "give a band"),
    (("x", 1), {"at_least": 2, "at_most": 1}, ValueError, "at_least must not be above at_most"),
    (("x", 1), {"at_least": float("nan")}, ValueError, "at_least must not be above at_most"),
    (("x", 1), {"equals": 1, "at_least": 0}, ValueError, "equals must stand alone"),
    (("x", 1), {"at_least": 0, "within": 1}, ValueError, "within must come with equals"),
    (("x", 1), {"equals": 1, "within": -1}, ValueError, "within must be >= 0"),
    (("", 1), {"at_least": 0}, ValueError, "what must be words"),
    ((7, 1), {"at_least": 0}, TypeError, "what must be words"),
    (("x", "0.98"), {"at_least": 0}, TypeError, "value must be a number"),
    (("x", None), {"at_least": 0}, TypeError, "value must be a number"),
    (("x", [0.98, 0.99]), {"at_least": 0}, TypeError, "value must be a number"),
    (("x", 1), {"at_least": "0"}, TypeError, "at_least must be a number"),
    (("x", None), {"equals": 1}, TypeError, "value must be a number or an array"),
])  # fmt: skip
def test_wrong_arguments_are_named(arguments, band, error, message):
    with pytest.raises(error, match=message):
        expect(*arguments, **band)


def test_a_tensor_of_the_backend_is_a_number_or_an_array(capsys):
    import keras

    weight = keras.Variable(np.full((), 0.5))  # in PyTorch one that carries a gradient
    expect("weight", weight.value, at_least=0.25)
    expect("weights", keras.Variable(np.ones((2, 2))).value * 1, equals=np.ones((2, 2)))
    assert capsys.readouterr().out.count("holds") == 2
