"""What a recipe is: plain data, checked.

A recipe says everything that a run's result depends on, as JSON has it. Functions and classes stand by their dotted
names, with their arguments beside them where there are any:

    network: cnnbook.models.lenet5                          a function, called without arguments
    network: {of: cnnbook.models.resnet, name: resnet20_cifar}
    optimizer: {of: keras.optimizers.Adam, learning_rate: {of: keras.optimizers.schedules.CosineDecay,
                initial_learning_rate: 0.001, decay_steps: $steps}}

``$steps`` is the recipe's number of steps. A recipe file of your own runs the functions that it names, as a program
does: train none that you would not run.
"""

import copy
import difflib
import functools
import importlib
import inspect
import json
import re
from pathlib import Path
from typing import Annotated, Any, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

Seed = Annotated[int, Field(ge=0, lt=2**32, strict=True)]


class RecipeError(ValueError):
    """A recipe that cannot be trained; the message names each setting, what was given and what is allowed."""


class Strict(BaseModel):
    """Data in which an unknown name is an error; ``check`` says so in words."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def check(cls, given, where):
        """The checked data. Raises RecipeError with a line for each fault, its place under ``where``."""
        if not isinstance(given, dict):
            raise RecipeError(f"{where} must be a mapping of names to values, got {given!r}")
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            raise RecipeError("\n".join(_in_words(e, cls, where) for e in error.errors())) from None


def _in_words(error, model, where):
    """One of pydantic's errors: key, value, what is allowed."""
    form = error["type"] in ("string_type", "dict_type") and error["loc"][-1:] in (("str",), ("dict[str,any]",))
    place = ".".join(map(str, (where, *(error["loc"][:-1] if form else error["loc"]))))  # `str | dict` has two forms
    if error["type"] == "extra_forbidden":
        for part in error["loc"][:-1]:
            kinds = (model.model_fields[part].annotation,) if part in model.model_fields else ()
            kinds += get_args(*kinds)  # `Paper | None` has a Paper in it
            model = next((kind for kind in kinds if hasattr(kind, "model_fields")), model)
        return f"{place} is not known{_nearest(str(error['loc'][-1]), list(model.model_fields))}"
    if error["type"] == "missing":
        return f"{place} is missing"
    if error["type"] == "value_error":
        return f"{place} {error['ctx']['error']}"
    return f"{place}: {error['msg'][0].lower()}{error['msg'][1:]}, got {error['input']!r}"


def _nearest(given, known):
    near = difflib.get_close_matches(given, known, n=1)
    return f"; allowed: {', '.join(known)}" + (f". Nearest: {near[0]}" if near else "")


class Paper(Strict):
    """The figure that a record stands beside."""

    metric: str
    value: float
    source: str


class Recipe(Strict):
    """One long run, or one for each seed.

    run       the class that trains, by its dotted name; fit.Fit teaches a Keras model
    data      where the examples come from: a set's ``name`` and, if you like, ``hold_out`` or ``test_images``; or a
              ``folder`` of your own images; what else a run may read, its class says
    settings  everything else that the result depends on; which there are, the run's class says
    steps     updates of the weights; ``every`` so many the curves get a point
    vary      settings that a seed has of its own, one mapping a seed
    committee also measure the average of all seeds' outputs
    weights   keep the first seed's trained weights beside the record
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$", max_length=80)]
    description: str = ""
    run: str = "cnnbook.training.fit.Fit"
    data: dict[str, Any] = {}
    settings: dict[str, Any] = {}
    steps: Annotated[int, Field(ge=1, strict=True)]
    every: Annotated[int, Field(ge=1, strict=True)]
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] = (0,)
    vary: tuple[dict[str, Any], ...] = ()
    committee: bool = False
    weights: bool = False
    paper: Paper | None = None
    departures: str = ""

    @field_validator("seeds")
    @classmethod
    def _different(cls, seeds):
        if len(set(seeds)) < len(seeds):
            raise ValueError(f"must be different numbers, got {list(seeds)}")
        return seeds

    @model_validator(mode="after")
    def _one_each(self):
        if self.vary and len(self.vary) != len(self.seeds):
            raise ValueError(f"needs as many entries in vary as seeds, got {len(self.vary)} and {len(self.seeds)}")
        return self

    def plain(self):
        """The recipe as JSON has it."""
        return json.loads(json.dumps(self.model_dump(mode="json")))

    def changed(self, **parts):
        """A recipe with these parts in place of its own, checked again."""
        return Recipe.check(self.plain() | parts, self.name)

    def with_settings(self, changes):
        """A recipe with ``{"optimizer.learning_rate": 0.1, ...}`` set; ``data.``, ``steps`` and ``every`` work too."""
        new = self.plain()
        for key, value in changes.items():
            path = key.split(".")
            if path[0] not in ("data", "steps", "every", "settings"):
                path = ["settings", *path]
            place = new
            for i, part in enumerate(path[:-1]):
                at = _position(key, part, place)
                inner = place[at] if isinstance(place, list) else place.setdefault(at, {})
                if isinstance(inner, str) and _called(inner):
                    inner = place[at] = {"of": inner}  # a bare function gets its first argument
                if not isinstance(inner, dict | list):
                    raise RecipeError(f"{key} cannot be set: {'.'.join(path[: i + 1])} is {inner!r}")
                place = inner
            place[_position(key, path[-1], place)] = copy.deepcopy(value)
        return Recipe.check(new, self.name)

    def settings_of(self, seed):
        """The settings of one seed's run, as JSON has them."""
        own = self.vary[self.seeds.index(seed)] if self.vary else {}
        return self.with_settings(own).plain()["settings"] if own else self.plain()["settings"]

    def runner(self):
        """The class that trains, its settings checked for every seed. Raises RecipeError."""
        found = look_up(self.run, f"{self.name}.run")
        if lacking := [part for part in _RUN if not hasattr(found, part)]:
            raise RecipeError(f"{self.name}.run must be a class that trains, such as cnnbook.training.fit.Fit; "
                              f"{self.run} has no {', '.join(lacking)}")  # fmt: skip
        for seed in self.seeds:
            found.Settings.check(self.settings_of(seed), f"{self.name}.settings")
        return found


_RUN = ("Settings", "values", "assign", "train", "measure")  # what a class must have that trains


def _position(key, part, place):
    """Where in a mapping or a list a part of a key points."""
    if isinstance(place, dict):
        return part
    if not part.isdecimal() or int(part) >= len(place):
        raise RecipeError(f"{key} cannot be set: {part} must be a number from 0 to {len(place) - 1}")
    return int(part)


def read(path):
    """The recipes in a YAML or JSON file, ``{name: Recipe}``: one recipe, or several under their names."""
    path = Path(path).expanduser()
    try:
        content = parsed(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise RecipeError(f"{path} cannot be read as a recipe: {error}") from error
    if not isinstance(content, dict) or not content:
        raise RecipeError(f"{path} must hold a mapping of names to values, as in {{name: mine, steps: 100, ...}}")
    if content.keys() & {"name", "steps", "every", "settings"}:  # a recipe's parts, no recipes' names
        content = {content.get("name", path.stem): content}
    named = {str(name): {} if parts is None else parts for name, parts in content.items()}
    found = {name: Recipe.check({"name": name, **parts} if isinstance(parts, dict) else parts, name)
             for name, parts in named.items()}  # fmt: skip
    for name, recipe in found.items():
        if recipe.name != name:
            raise RecipeError(f"{name}.name must be the name that the recipe stands under, got {recipe.name!r}")
    return found


class _Yaml(yaml.SafeLoader):
    """YAML in which 1e-3 is a number, as it is in JSON and in Python; PyYAML wants 1.0e-3. No name may stand twice."""

    def compose_mapping_node(self, anchor):
        node = super().compose_mapping_node(anchor)
        _once((str(key.value), value) for key, value in node.value if key.tag != "tag:yaml.org,2002:merge")
        return node


_Yaml.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"),
                            list("-+.0123456789"))  # fmt: skip


def _once(pairs):
    """The pairs as a dict; ValueError for a name that stands twice, of which the first would count for nothing."""
    found = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{name} stands twice in one mapping")
        found[name] = value
    return found


def parsed(text):
    """What a text in JSON or YAML holds. ValueError for what JSON cannot say."""
    try:
        try:
            value = json.loads(text, object_pairs_hook=_once)  # PyYAML takes no tabs and no pairs of surrogates
        except json.JSONDecodeError:
            value = yaml.load(text, _Yaml)
    except yaml.YAMLError as error:
        raise ValueError(f"it is no YAML: {error}") from error
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"it must hold what JSON can say: {error}") from error
    return value


def look_up(name, where="the function"):
    """What a dotted name stands for. Raises RecipeError."""
    module, _, attribute = str(name).rpartition(".")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise RecipeError(f"{where} must be the dotted name of something that can be imported, got {name!r}: {error}"
                          ) from error  # fmt: skip


def build(value, where, **names):
    """What a setting stands for: ``{"of": "dotted.name", ...}`` called with its arguments, deep inside first.

    A dotted name alone is called without arguments; ``names`` replace strings such as ``$steps``.
    """
    return _called_with(*_parts(value, where, names), where) if _called(value) else _argument(value, where, names)


def function(value, where, **names):
    """The function that a setting names, its arguments filled in."""
    of, arguments = _parts(value, where, names)
    return functools.partial(of, **arguments) if arguments else of


def _called(value):
    """Whether a setting names a function: ``{"of": ...}``, or a dotted name alone."""
    return "of" in value if isinstance(value, dict) else isinstance(value, str) and "." in value


def _parts(value, where, names):
    if not isinstance(value, str | dict) or (isinstance(value, dict) and not isinstance(value.get("of"), str)):
        raise RecipeError(f"{where} must be a dotted name, or a mapping with one under `of`, got {value!r}")
    value = {"of": value} if isinstance(value, str) else value
    of = look_up(value["of"], f"{where}.of" if len(value) > 1 else where)
    if not callable(of):
        raise RecipeError(f"{where} must be the dotted name of something that can be called, got {value['of']!r}")
    arguments = {k: _argument(v, f"{where}.{k}", names) for k, v in value.items() if k != "of"}
    with_any, known = _arguments_of(of)
    for key in arguments:
        if not with_any and key not in known:
            raise RecipeError(f"{where}.{key} is not known to {value['of']}{_nearest(key, known)}")
    return of, arguments


def _arguments_of(of):
    try:
        parameters = inspect.signature(of).parameters.values()
    except (TypeError, ValueError):
        return True, []
    return any(p.kind == p.VAR_KEYWORD for p in parameters), [p.name for p in parameters]


def _argument(value, where, names):
    if isinstance(value, dict) and "of" in value:
        return build(value, where, **names)
    if isinstance(value, dict):
        return {k: _argument(v, f"{where}.{k}", names) for k, v in value.items()}
    if isinstance(value, list):
        return [_argument(v, f"{where}.{i}", names) for i, v in enumerate(value)]
    return names.get(value[1:], value) if isinstance(value, str) and value.startswith("$") else value


def _called_with(of, arguments, where):
    try:
        return of(**arguments)
    except RecipeError:
        raise
    except (TypeError, ValueError) as error:
        known = _arguments_of(of)[1]
        strange = [key for key in arguments if key not in known]
        allowed = "".join(_nearest(key, known) for key in strange[:1])
        raise RecipeError(f"{where}: {error}{allowed}") from error
