"""The long runs of the book as data: one YAML file a data set, each recipe under its name.

A recipe is chosen on held-out training examples (``train --validate``, or ``data.hold_out``); the test examples are for
the record alone. Where a recipe departs from its paper, ``departures`` says so. training/recipe.py says what may stand
in a recipe, and ``python -m cnnbook show NAME`` prints one.
"""

from cnnbook.training.recipe import read

from importlib import resources

FILES = ("mnist", "cifar10")

RECIPES = {}
for _file in FILES:
    with resources.as_file(resources.files("cnnbook.recipes").joinpath(f"{_file}.yml")) as _path:
        RECIPES |= read(_path)
