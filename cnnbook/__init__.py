"""Convolutional Neural Networks, Executed: the package that the book computes with.

Importing it is cheap: the modules load on first use, so ``cnnbook.arithmetic`` works without Keras. In a Jupyter
kernel Keras is loaded at once, with what TensorFlow writes at import kept out of the notebook (see backend.py).
"""

import importlib
import os
import sys

__version__ = "0.1.0"

_MODULES = (
    "arithmetic", "audit", "backend", "claims", "data", "diagrams", "exercises", "figures", "learners", "models",
    "recipes", "reference", "tasks", "training", "weights",
)  # fmt: skip

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # must be set before TensorFlow is loaded
if "ipykernel" in sys.modules:
    importlib.import_module("cnnbook.backend")


def __getattr__(name):
    if name in _MODULES:
        return importlib.import_module(f"cnnbook.{name}")
    raise AttributeError(f"module 'cnnbook' has no attribute {name!r}; it has {', '.join(_MODULES)}")


def __dir__():
    return sorted([*globals(), *_MODULES])
