"""claims.expect: what it prints is the same on every machine, and a claim that does not hold raises."""

from cnnbook.claims import expect

import numpy as np
import pytest


@pytest.mark.parametrize("value, band, printed", [
    (0.9731, {"at_least": 0.97}, "accuracy is at least 0.97: holds"),
    (0.97, {"at_least": 0.97}, "accuracy is at least 0.97: holds"),
    (0.0081, {"at_most": 0.0095}, "accuracy is at most 0.0095: holds"),
    (3, {"at_least": 1, "at_most": 60000}, "accuracy is between 1 and 60,000: holds"),
    (np.float32(0.5), {"at_least": np.float64(0.25)}, "accuracy is at least 0.25: holds"),
    (np.array(0.5), {"at_most": 1}, "accuracy is at most 1: holds"),
    (61706, {"equals": 61706}, "accuracy equals 61,706: holds"),
    (0.1 + 0.2, {"equals": 0.3, "within": 1e-9}, "accuracy equals 0.3 to within 1e-09: holds"),
    ((28, 28, 6), {"equals": (28, 28, 6)}, "accuracy equals (28, 28, 6): holds"),
    (True, {"equals": True}, "accuracy equals True: holds"),
    (float("inf"), {"equals": float("inf")}, "accuracy equals inf: holds"),
    (0.99999995, {"at_least": 0.9999999}, "accuracy is at least 0.9999999: holds"),
    ("tanh", {"equals": "tanh"}, "accuracy equals tanh: holds"),
    (np.ones((2, 3)) + 1e-7, {"equals": np.ones((2, 3)), "within": 1e-5},
     "accuracy equals the expected array of shape (2, 3) to within 1e-05: holds"),
])  # fmt: skip
def test_a_claim_that_holds_prints_the_band_alone(capsys, value, band, printed):
    assert expect("accuracy", value, **band) is None
    assert capsys.readouterr().out == printed + "\n"


@pytest.mark.parametrize("value, band, message", [
    (0.9612, {"at_least": 0.97}, "error is at least 0.97: does not hold, measured 0.9612"),
    (2.5, {"at_least": 1, "at_most": 2}, "measured 2.5"),
    (float("nan"), {"at_least": 0}, "measured nan"),
    (float("nan"), {"at_most": 1e9}, "measured nan"),
    (float("nan"), {"equals": float("nan")}, "measured nan"),
    (0.3000001, {"equals": 0.3}, "measured 0.3000001"),
    (2**53 + 1, {"equals": 2**53}, "measured 9007199254740993"),
    (float("inf"), {"equals": 1.0, "within": 1}, "measured inf"),
    (61707, {"equals": 61706}, "measured 61707"),
    (np.ones(3), {"equals": np.zeros(3), "within": 0.5}, "the largest difference is 1"),
    (np.array([0.0, np.nan]), {"equals": np.zeros(2), "within": 0.5}, "the largest difference is nan"),
    (np.ones(3), {"equals": np.ones((3, 1))}, r"measured shape \(3,\), expected shape \(3, 1\)"),
    ("relu", {"equals": "tanh"}, "measured 'relu'"),
    (3, {"equals": "tanh"}, "measured 3"),
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
