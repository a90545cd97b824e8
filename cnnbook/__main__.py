"""The command line: ``python -m cnnbook``.

Exit codes: 0 done, 1 it failed or a check does not hold, 2 it was called wrongly, 130 stopped by Ctrl-C, 143 a training
was stopped by SIGTERM.
"""

import cnnbook

import difflib
import importlib
import inspect
import os
import sys
import textwrap
from json import dumps, loads
from pathlib import Path
from typing import Annotated

import typer
import yaml
from rich.console import Console
from rich.table import Column, Table
from typer.core import TyperGroup

PROGRAM = "python -m cnnbook"


class _Commands(TyperGroup):
    """The commands, which end with one clear line when Ctrl-C stops them."""

    def invoke(self, ctx):
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            _complain("Stopped by Ctrl-C. Nothing is half written.")
            raise typer.Exit(130) from None


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Convolutional neural networks, executed: look at the book's networks, train them, fetch their data.",
    epilog=f"Each command explains itself: {PROGRAM} audit --help",
)
data_app = typer.Typer(no_args_is_help=True, help="The data sets: which there are, fetch them, check them.")
app.add_typer(data_app, name="data")


def _examples(*lines):
    """Text under a command's help."""
    return "Examples:\n\n" + "\n\n".join(f"{PROGRAM} {line}" for line in lines)


def _complain(message):
    Console(stderr=True).print(message, style="red", soft_wrap=True, markup=False, highlight=False)


def _say(message):
    Console().print(message, soft_wrap=True, markup=False, highlight=False)


def _one_of(known):
    """A check of an argument's value, or of each of its values, that names the known and the nearest."""

    def check(given):
        for value in given if isinstance(given, list) else [given]:
            if value not in (names := known()):
                near = difflib.get_close_matches(value, names, n=3, cutoff=0.5)
                nearest = f" Nearest: {', '.join(near)}." if near else ""
                raise typer.BadParameter(f"must be one of {', '.join(names)}, got {value!r}.{nearest}")
        return given

    return check


# Keras takes seconds to load, so only what needs it does, and backend first: it holds back TensorFlow's chatter.


def _with_keras(module):
    try:
        importlib.import_module("cnnbook.backend")
    except (ImportError, ValueError) as error:  # ValueError: a backend that Keras does not know
        given = os.environ.get("KERAS_BACKEND", "tensorflow")
        _complain(f"Error: KERAS_BACKEND must be tensorflow, jax or torch, and installed, got {given!r}: {error}")
        raise typer.Exit(1) from error
    return importlib.import_module(f"cnnbook.{module}")


def _networks():
    return _with_keras("models").NETWORKS


def _recipes():
    return _with_keras("recipes").RECIPES


def _data_sets():
    from cnnbook import data

    return data.names()


def _version(wanted):
    if wanted:
        _say(f"cnnbook {cnnbook.__version__}")
        raise typer.Exit()


@app.callback()
def _program(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print cnnbook's version.")
    ] = False,
):
    pass


Network = Annotated[str, typer.Argument(metavar="NAME", callback=_one_of(_networks), help="A network's name.")]


# Networks -------------------------------------------------------------------------------------------------------------


@app.command(name="list", epilog=_examples("list", "list --plain"))
def list_networks(plain: Annotated[bool, typer.Option("--plain", help="Networks' names alone, one a line.")] = False):
    """List the networks, and the recipes that train them."""
    if plain:
        _say("\n".join(_networks()))
        return
    networks = Table("network", "what it is", title="Networks", title_justify="left", show_lines=True)
    papers = {}  # what a file says of its paper: the names of its networks
    for name, build in _networks().items():
        build = getattr(build, "func", build)  # a variant is a builder with its name filled in
        papers.setdefault(sys.modules[build.__module__].__doc__.split("\n")[0], []).append(name)
    for idea, names in papers.items():
        networks.add_row("\n".join(names), idea)
    recipes = Table("recipe", "what it trains", title="Recipes", title_justify="left")
    for name, recipe in _recipes().items():
        recipes.add_row(name, recipe.description)
    Console().print(networks, recipes, f"Go on with: {PROGRAM} audit NAME, {PROGRAM} train RECIPE", highlight=False)


@app.command(epilog=_examples("summary lenet5"))
def summary(name: Network):
    """Print a network's layers as Keras counts them."""
    _networks()[name]().summary(line_length=max(Console().width, 60))


@app.command(epilog=_examples("audit lenet5", "audit lenet5 --json"))
def audit(
    name: Network,
    json: Annotated[bool, typer.Option("--json", help="JSON: name, trainable, parameters, macs, layers.")] = False,
):
    """Count a network at its paper's input size: shapes, parameters, operations, receptive fields."""
    networks = _networks()
    from cnnbook import audit as auditing

    found = auditing.audit(networks[name]())
    if json:
        _say(found.to_json())
    else:
        found.print_table()
        if name in auditing.published():
            auditing.beside(name, found).print_table()


def _mapped():
    return _with_keras("weights").MAPS


def _out(path):
    try:
        _with_keras("weights").check_ending(path)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    return path


def _their_weights(given):
    if given not in ("imagenet", "none") and not os.path.isfile(os.path.expanduser(given)):
        raise typer.BadParameter(f'must be "imagenet", "none" or a file, got {given!r}')
    return given


@app.command(
    epilog=_examples("convert resnet50 resnet50.keras", "convert vgg16 vgg16.weights.h5 --weights their.weights.h5")
)
def convert(
    name: Annotated[
        str, typer.Argument(metavar="NAME", callback=_one_of(_mapped), help="A network that keras.applications has.")
    ],
    out: Annotated[
        Path,
        typer.Argument(
            metavar="OUT", callback=_out, help="The file: .keras for the whole model, .weights.h5 for its weights."
        ),
    ],
    weights: Annotated[
        str,
        typer.Option(
            metavar="WEIGHTS", callback=_their_weights, help='"imagenet", a file of theirs, or "none": a random start.'
        ),
    ] = "imagenet",
):
    """Write a network of the book with the trained weights of keras.applications.

    Keras downloads the weights of ImageNet once. What was written is read again and compared. A file that is there is
    replaced, at the end and whole.
    """
    carrying = _with_keras("weights")
    try:
        network = carrying.convert(name, out, None if weights == "none" else weights)
    except Exception as error:  # Keras raises a bare Exception where a download fails
        _complain(f"Error: {error}")
        raise typer.Exit(1) from error
    _say(f"{out}: {name}, {network.count_params():,} weights. Its input: weights.preprocess({name!r}, pixels)")


# Training -------------------------------------------------------------------------------------------------------------


ENDINGS = (".yml", ".yaml", ".json")


def _recipe(ctx: typer.Context, given):
    """The recipe that is meant: a shipped one's name, FILE, or FILE:NAME where a file has several.

    ``ctx.obj`` becomes what names it in a command.
    """
    shipped = _recipes()
    if given in shipped:
        ctx.obj = given
        return shipped[given]
    file, _, name = (given, "", "") if given.endswith(ENDINGS) else given.rpartition(":")
    if not file.endswith(ENDINGS):
        _one_of(lambda: [*shipped, "your own FILE" + ENDINGS[0]])(given)
    path = Path(file).expanduser()
    from cnnbook import training

    try:
        found = training.read(path)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    if not name and len(found) > 1:
        raise typer.BadParameter(f"{file} has several recipes: " + ", ".join(f"{file}:{each}" for each in found))
    name = name or next(iter(found))
    _one_of(lambda: list(found))(name)
    if name in shipped:
        raise typer.BadParameter(f"{file}: {name} is the name of a recipe of the book, whose record it would replace: "
                                 "give yours another")  # fmt: skip
    sys.path.append(str(path.resolve().parent))  # functions of your own may stand in a module beside the file
    ctx.obj = f"{file}:{name}"
    return found[name]


def _seeds(given):
    if given is None:
        return None
    numbers = [n.strip() for n in given.split(",")]
    known = all(n.isdecimal() and len(n) <= 10 and int(n) < 2**32 for n in numbers)
    if not known or len(set(map(int, numbers))) < len(numbers):
        raise typer.BadParameter(f"must be different numbers from 0 to 2**32 - 1, such as 0,1,2, got {given!r}")
    return [int(n) for n in numbers]


def _count(given):
    if given is None:
        return None
    if not given.isdecimal() or len(given) > 9 or int(given) < 1:
        raise typer.BadParameter(f"must be a whole number of at least 1, got {given!r}")
    return int(given)


def _changes(given):
    """``["key=value", ...]`` as a mapping, the values read as YAML."""
    from cnnbook.training.recipe import parsed

    changes = {}
    for each in given or []:
        key, equals, value = each.partition("=")
        try:
            if not equals or not key:
                raise ValueError(f"must be key=value, such as optimizer.learning_rate=0.1, got {each!r}")
            if key in changes:
                raise ValueError(f"must give {key} once, got it twice")
            changes[key] = parsed(value)
        except ValueError as error:
            raise typer.BadParameter(f"{each}: {error}" if value else str(error), param_hint="'--set'") from error
    return changes


def _instead(option):
    def refuse(given):
        if given is not None:
            raise typer.BadParameter(f"is no option any more: use {option}")

    return refuse


RecipeArgument = Annotated[
    str, typer.Argument(metavar="RECIPE", callback=_recipe, help="A recipe's name, or your own file: FILE, FILE:NAME.")
]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Another value of a setting; may be repeated."),
]


@app.command(
    epilog=_examples(
        "train lenet5-mnist", "train lenet5-mnist --seeds 0 --steps 1875 --validate", "train lenet5-mnist --resume",
        "train lenet5-mnist --set batch_size=64 --set optimizer.learning_rate=1e-3", "train mine.yml",
        "train lenet5-mnist --workers 2",
    )
)  # fmt: skip
def train(
    ctx: typer.Context,
    recipe: RecipeArgument,
    changes: Changes = None,
    seeds: Annotated[
        str | None,
        typer.Option(callback=_seeds, metavar="N,N,...", help="Seeds, such as 0,1,2.", show_default="the recipe's"),
    ] = None,
    steps: Annotated[
        str | None,
        typer.Option(callback=_count, metavar="N", help="Steps of each run.", show_default="the recipe's"),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoints in the folder.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Throw away the checkpoints in the folder.")] = False,
    validate: Annotated[
        bool, typer.Option("--validate", help="Hold back the last sixth of the training examples, report on these.")
    ] = False,
    precision: Annotated[
        str | None,
        typer.Option(metavar="P", help="float32, mixed_bfloat16 or mixed_float16.", show_default="the recipe's"),
    ] = None,
    workers: Annotated[
        str | None,
        typer.Option(
            callback=_count, metavar="N", help="Several processes, by Ray: a seed each, or one seed for all of them."
        ),
    ] = None,
    address: Annotated[
        str | None, typer.Option(metavar="A", help="A running Ray cluster for --workers: HOST:PORT, or auto.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Where checkpoints are kept.")] = Path("runs"),
    records: Annotated[Path, typer.Option(help="Where the record of a whole run is written.")] = Path("records"),
    tensorboard: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also write the curves there, for TensorBoard.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
    epochs: Annotated[
        str | None, typer.Option(hidden=True, callback=_instead("--steps: an epoch's are told by `show RECIPE`"))
    ] = None,
    folder: Annotated[str | None, typer.Option(hidden=True, callback=_instead("--out"))] = None,
):
    """Train a recipe's network, once for each seed, and write the record.

    Where a run stands is saved every ten minutes or more often. With other seeds, steps or settings than the recipe's
    the run is a short one, and its record stays in the folder. `show RECIPE` prints a recipe and says which settings
    there are.
    """
    if resume and fresh:
        raise typer.BadParameter("--resume and --fresh contradict each other: give one of them")
    if address and not workers:
        raise typer.BadParameter("--address is a cluster's for --workers: say how many")
    changes = _changes(changes)
    if precision is not None:
        if "precision" in changes:
            raise typer.BadParameter("--precision and --set precision contradict each other: give one of them")
        changes["precision"] = precision
    from cnnbook import data, training

    asked = {"seeds": seeds, "steps": steps, "settings": changes, "validate": validate, "out": out, "records": records,
             "called": ctx.obj}  # fmt: skip
    how = {"resume": resume, "fresh": fresh, "progress": not quiet, "tensorboard": tensorboard}
    try:
        try:
            plan = training.prepared(recipe, **asked)
            if workers:
                parallel = importlib.import_module("cnnbook.training.workers")
                parallel.check(plan, workers, address)
        except ValueError as error:
            raise training.RecipeError(str(error)) from error
        if workers:
            record, path = parallel.train(plan, workers, address=address, **how), plan.path
        else:
            result = training.train(recipe, **asked, **how)
            record, path = result.record, result.path
    except training.RecipeError as error:
        raise typer.BadParameter(str(error)) from error
    except (data.DataError, training.TrainingError) as error:
        _complain(f"Error: {error}")
        raise typer.Exit(1) from error
    except (KeyboardInterrupt, training.Stopped) as stop:
        by, code = ("Ctrl-C", 130) if isinstance(stop, KeyboardInterrupt) else ("SIGTERM", 143)
        again = "with --resume in place of --fresh" if fresh else "with --resume"
        _complain(f"Stopped by {by}. Where it stood is kept in {out}: the same {again} goes on.")
        raise typer.Exit(code) from None
    _say(_outcome(record))
    _say(f"Record: {path}")


def _outcome(record):
    """The figures of a record, in words."""
    runs, paper = record["runs"], record["paper"]
    lines = []
    for metric in runs[0]["metrics"]:
        values = [run["metrics"][metric] for run in runs]
        mean = sum(values) / len(values)
        spread = f" (mean of {len(values)} seeds, {min(values):.4f} to {max(values):.4f})" if len(values) > 1 else ""
        lines.append(f"{metric} {mean:.4f}{spread}")
    for metric, value in record.get("committee", {}).get("metrics", {}).items():
        lines.append(f"{metric} {value:.4f} as a committee")
    if damaged := {file for run in runs for file in run.get("damaged", ())}:
        lines.append(f"{len(damaged)} damaged files were left out, which the record names")
    if paper:
        lines.append(f"the paper: {paper['metric']} {paper['value']:.4f} ({paper['source']})")
    if record["short"]:
        lines.append("a short run: not to be held beside the paper's")
    return f"{record['name']}: " + "; ".join(lines)


@app.command(epilog=_examples("show lenet5-mnist", "show lenet5-mnist --set batch_size=64 --json"))
def show(
    recipe: RecipeArgument,
    changes: Changes = None,
    json: Annotated[bool, typer.Option("--json", help="As JSON, without the explanations.")] = False,
):
    """Print a recipe as it will be trained, and what each setting means.

    What is printed is a recipe file: under another name it is yours to change.
    """
    from cnnbook import training

    try:
        recipe = recipe.with_settings(_changes(changes))
        runner = training.checked(recipe, recipe.seeds)
        known = runner.Settings
        defaults = known.check(recipe.settings_of(recipe.seeds[0]), "settings").model_dump(mode="json")
    except training.RecipeError as error:
        raise typer.BadParameter(str(error)) from error
    plain = recipe.plain()
    if json:
        _say(dumps(plain, indent=1))
        return
    unset = {key: value for key, value in defaults.items() if key not in plain["settings"]}
    # Where the settings have no words of their own, the run's class explains them, and so do those that it extends.
    texts = [f"The settings. {inspect.cleandoc(doc)}" for doc in dict.fromkeys(_explained(runner))]
    silent = [key for key in defaults if not any(key in text for text in texts)]
    told = [
        _epoch(recipe),
        f"A recipe's parts. {inspect.cleandoc(training.Recipe.__doc__)}",
        *texts,
        f"Settings that its texts do not explain: {', '.join(silent)}" if silent else "",
        textwrap.fill("Not set, so at the default: " + ", ".join(f"{k}: {dumps(v)}" for k, v in unset.items()), 110),
    ]
    _say(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=100))
    _say("\n#\n".join("\n".join(f"# {line}".rstrip() for line in part.splitlines()) for part in told if part))


def _explained(runner):
    """The texts that explain a run's settings, its own first."""
    for kind in runner.__mro__:
        own = kind.__dict__.get("Settings")
        if own is not None:
            yield from filter(None, (own.__dict__.get("__doc__") or kind.__dict__.get("__doc__"),))


def _epoch(recipe):
    """How many steps an epoch has, in words; "" where that is not known."""
    from cnnbook import data
    from cnnbook.data import catalogue

    name, size = recipe.data.get("name"), recipe.settings.get("batch_size")
    if name not in data.names() or not size:
        return ""
    images = len(data.load(name).train) if name == "digits" else catalogue.PUBLISHED[name].train
    images -= recipe.data.get("hold_out") or 0
    return f"An epoch is {images / size:,.6g} steps: {images:,} training images, {size} a step."


def _picture(path):
    if path is not None and path.suffix.lower() not in (".png", ".svg"):
        raise typer.BadParameter(f"must end in .png or .svg, got {str(path)!r}")
    return path


@app.command(epilog=_examples("plot lenet5-mnist lenet5-mnist-distorted --curve test_error --log --out error.svg"))
def plot(
    records: Annotated[
        list[str], typer.Argument(metavar="RECORD...", help="Names in records/, or record.json and run.json files.")
    ],
    out: Annotated[
        Path | None, typer.Option(callback=_picture, metavar="FILE", help="A .png or .svg.", show_default="RECORD.png")
    ] = None,
    curve: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A curve; may be repeated.", show_default="all")
    ] = None,
    log: Annotated[bool, typer.Option("--log", help="A logarithmic vertical axis.")] = False,
):
    """Draw the curves of records against steps: each seed a thin line, their mean a thick one, the paper's dashed.

    A shortened run never stands beside a paper's figure. A picture that is there is replaced, at the end and whole.
    """
    training = _with_keras("training")
    found = {}
    try:
        for given in records:
            record = _record(training, given)
            labels = (record["name"], given, f"{given} ({len(found) + 1})")
            found[next(label for label in labels if label not in found)] = record
        figure = _curves(found, curve, log)
    except (OSError, ValueError) as error:
        _complain(f"Error: {error}")
        raise typer.Exit(1) from error
    out = out or Path(f"{next(iter(found.values()))['name']}.png")
    from cnnbook import files

    path, kind = out.expanduser(), out.suffix.lower()[1:]
    with files.whole(path) as file:
        figure.savefig(file, format=kind, dpi=160, metadata={"Date": None} if kind == "svg" else None)
    _say(f"{out}: {', '.join(found)}")


def _record(training, given):
    """A record by its name or path, or one run as a record of one. Raises OSError and ValueError."""
    path = Path(given).expanduser()
    if path.suffix == ".json":
        try:
            record = loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{given} is not whole: {error}") from error
    else:
        try:
            record = training.read_record(given)
        except FileNotFoundError as error:
            there = sorted(file.stem for file in Path("records").glob("*.json"))
            raise ValueError(f"{error}. In records/ there are: {', '.join(there) or 'none'}") from error
    try:
        if "plan" in record:  # one run
            name = f"{record['plan']['name']} seed {record['seed']}"
            record = {"name": name, "short": True, "runs": [record], "paper": {}}
        curves = [dict(run.get("history", {})) for run in record["runs"]]
        return {"name": str(record["name"]), "short": record["short"], "paper": dict(record["paper"]), "curves": curves}
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"{given} must be a record.json or a run.json, and is neither: {error!r}") from error


def _curves(records, names, log):
    """A figure of the named curves, or of all, of ``{label: record}``; a panel for each. Raises ValueError."""
    import matplotlib

    matplotlib.use("Agg")  # no screen is needed
    from cnnbook import figures

    histories = {label: record["curves"] for label, record in records.items()}
    there = {label: [key for key in runs[0] if key != "step"] if runs else [] for label, runs in histories.items()}
    for label, known in there.items():
        steps = [run.get("step") for run in histories[label]]
        if not known or not all(steps) or any(other != steps[0] for other in steps):
            raise ValueError(f"{label} has no curves against steps that its seeds share; it has: {known or 'none'}")
        if unknown := [name for name in names or [] if name not in known]:
            raise ValueError(f"{label} has no curve {', '.join(unknown)}; it has: {', '.join(known)}")
    names = list(dict.fromkeys(names or [name for known in there.values() for name in known]))
    figure, axes = figures.plt.subplots(len(names), figsize=(7, 3.4 * len(names)), squeeze=False)
    for ax, name in zip(axes.flat, names, strict=True):
        drawn = {label: runs for label, runs in histories.items() if name in runs[0]}
        percent, shades, papers = name.endswith("error"), iter(figures.COLOURS.values()), {}
        for label in drawn:
            paper, shade = records[label]["paper"], next(shades, figures.INK)
            if paper.get("metric") == name and not records[label]["short"]:
                papers.setdefault((paper["source"], paper["value"]), shade)
        for (source, value), shade in papers.items():
            shown = f"{source}: {100 * value:.3g}%" if percent else f"{source}: {value:g}"
            ax.axhline(value, color=shade, linewidth=1.2, linestyle="--", label=shown)
        figures.curves(
            {label: [run[name] for run in runs] for label, runs in drawn.items()}, "step", name.replace("_", " "),
            log=log, percent=percent, each=True, ax=ax,
            steps={label: runs[0]["step"] for label, runs in drawn.items()},
        )  # fmt: skip
    return figure


# Data -----------------------------------------------------------------------------------------------------------------

DataSets = Annotated[
    list[str], typer.Argument(metavar="NAME...", callback=_one_of(_data_sets), help="Data sets' names.")
]


@data_app.command(name="list", epilog=_examples("data list", "data list --plain"))
def list_data(plain: Annotated[bool, typer.Option("--plain", help="Names alone, one a line.")] = False):
    """List the data sets, and where they are on this machine."""
    from cnnbook import data

    if plain:
        _say("\n".join(data.names()))
        return
    table = Table("data set", "what it is", Column("on this machine", overflow="fold"))
    for name in data.names():
        try:
            place = str(data.where(name) or "no")
        except data.DataError as error:
            place = str(error)
        table.add_row(name, data.describe(name), place)
    Console().print(table, highlight=False)


@data_app.command(epilog=_examples("data fetch mnist", "data fetch mnist fashion_mnist", "data fetch mnist --force"))
def fetch(
    names: DataSets,
    force: Annotated[bool, typer.Option("--force", help="Download even if a good file is there.")] = False,
):
    """Fetch data sets from their publishers into the cache; prints where each is."""
    from cnnbook import data

    try:
        for name in names:
            _say(f"{name}: {data.fetch(name, force=force)}")
    except data.DataError as error:
        _complain(f"Error: {error}")
        raise typer.Exit(1) from error


@data_app.command(epilog=_examples("data check", "data check mnist"))
def check(names: DataSets = ()):
    """Hold data sets to their checksums; without a name, all that are on this machine."""
    from cnnbook import data

    failed = False
    for name in names or data.names():
        try:
            if not names and data.where(name) is None:
                _say(f"{name}: not on this machine")
                continue
            found = data.check(name)
            verdict = "holds" if data.checksum(name) else "has the right shapes, but no checksum of the set is known"
            _say(f"{name}: {verdict}, {found.split}, sha256 {found.sha256}")
        except data.DataError as error:
            failed = True
            _complain(f"Error: {error}")
    raise typer.Exit(1 if failed else 0)


def main():
    """Run the command line and end the process."""
    for number, stream in enumerate(("stdout", "stderr"), start=1):
        if getattr(sys, stream) is None:  # closed by the caller
            os.dup2(os.open(os.devnull, os.O_WRONLY), number)
            setattr(sys, stream, open(number, "w", encoding="utf-8"))  # noqa: SIM115 -- it lives as long as the process
        getattr(sys, stream).reconfigure(errors="replace")  # a terminal without the sign x still shows its table
    if not sys.stdout.isatty():
        os.environ.setdefault("COLUMNS", "120")  # where tables go into a file or a pipe
    try:
        try:
            app(prog_name=PROGRAM)
        finally:
            sys.stdout.flush()
    except OSError as error:
        # Leave the interpreter nothing to flush at its end. A closed pipe, as of `| head`, is no failure of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            _complain(f"Error: {error}")
        sys.exit(1)


if __name__ == "__main__":
    main()
