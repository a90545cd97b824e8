"""Moved: ``cnnbook.tasks.boltzmann`` has what was here. This module goes with the next release."""

from cnnbook.tasks.boltzmann import RBM, DeepBeliefNetwork, sample, whole

import warnings

__all__ = ["RBM", "DeepBeliefNetwork", "sample", "whole"]

warnings.warn("cnnbook.boltzmann is now cnnbook.tasks.boltzmann", DeprecationWarning, stacklevel=2)
