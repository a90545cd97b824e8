"""The checks of the book as a whole. Each takes a :class:`Book` (or built pages) and returns a list of faults.

test_book.py applies them to the project's book, which must have no fault, and to a broken sample, which must have one.
"""

import ast
import functools
import json
import math
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote, urlsplit

import notebooks as tool
import yaml
from bs4 import BeautifulSoup

MOST_LINES = 14
IGNORED = "nbval-ignore-output"


@dataclass(frozen=True)
class Book:
    """The book's files under ``root``, laid out like the project's."""

    root: Path

    @functools.cached_property
    def texts(self):
        """The chapters' texts, by path under the root, without suffix."""
        return {self._name(path, tool.TEXT): tool.read_text(path) for path in self._chapters(tool.TEXT)}

    @functools.cached_property
    def notebooks(self):
        """The chapters' notebooks, likewise."""
        return {self._name(path, tool.NOTEBOOK): tool.read_notebook(path) for path in self._chapters(tool.NOTEBOOK)}

    @functools.cached_property
    def pages(self):
        """The Markdown pages, by path under the root."""
        paths = [self.root / "index.md", *self.root.glob("genindex.md"), *sorted(self.root.glob("appendix/**/*.md"))]
        return {str(path.relative_to(self.root)): path.read_text(encoding="utf-8") for path in paths}

    def code_cells(self):
        """(where, cell) for each code cell of each notebook, ``where`` in words."""
        for name, notebook in self.notebooks.items():
            cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
            yield from ((f"{name}, code cell {number}", cell) for number, cell in enumerate(cells, 1))

    def read_yaml(self, name):
        """The content of a YAML file under the root."""
        return yaml.safe_load((self.root / name).read_text(encoding="utf-8"))

    def _chapters(self, suffix):
        paths = sorted((self.root / "chapters").rglob(f"*{suffix}"))
        return [path for path in paths if ".ipynb_checkpoints" not in path.parts]

    def _name(self, path, suffix):
        return path.relative_to(self.root).as_posix().removesuffix(suffix)


def tags(cell):
    """A cell's tags."""
    return set(cell.metadata.get("tags", []))


def html_of(output):
    """The HTML of a display output, or an empty string."""
    return output.get("data", {}).get("text/html", "")


# ---- The notebooks ---------------------------------------------------------------------------------------------------


def check_pairs(book):
    """Each text has a notebook with the same cells, tags included, and each notebook a text."""
    texts, notebooks = book.texts.keys(), book.notebooks.keys()
    faults = [f"{name}: there is no {tool.NOTEBOOK}, run make notebooks" for name in sorted(texts - notebooks)]
    faults += [f"{name}: there is no {tool.TEXT}" for name in sorted(notebooks - texts)]
    for name in sorted(texts & notebooks):
        text, notebook = tool.cells(book.texts[name]), tool.cells(book.notebooks[name])
        differs = [i for i, (one, other) in enumerate(zip(text, notebook, strict=False), 1) if one != other]
        if len(text) != len(notebook):
            faults.append(f"{name}: {len(text)} cells in the text, {len(notebook)} in the notebook")
        if differs:
            faults.append(f"{name}: cell {differs[0]} differs between text and notebook, run make notebooks")
    return faults


def check_made_from(book):
    """Each notebook remembers the cells that it has, or the tool would take an edit of the text for one of both."""
    return [f"{name}: made_from is not of its cells, run make notebooks" for name, notebook in book.notebooks.items()
            if tool.stale(notebook)]  # fmt: skip


def check_executed(book):
    """Every code cell was executed, in order from 1, without an error and without a word on standard error."""
    faults = []
    for where, cell in book.code_cells():
        number = int(where.rsplit(" ", 1)[1])
        if cell.execution_count != number:  # nbval compares nothing in a cell that was not executed
            faults.append(f"{where}: execution count {cell.execution_count}, must be {number}")
        for output in cell.outputs:
            if output.output_type == "error" and "raises-exception" not in tags(cell):
                faults.append(f"{where}: stores the error {output.ename}: {output.evalue}")
            if output.output_type == "stream" and output.name == "stderr":
                faults.append(f"{where}: stores what was written to standard error: {output.text.strip()[:80]!r}")
    return faults


def check_lengths(book):
    """No code cell is longer than a reader can take in."""
    lengths = [(where, len(cell.source.splitlines())) for where, cell in book.code_cells()]
    return [f"{where}: {length} lines, at most {MOST_LINES}" for where, length in lengths if length > MOST_LINES]


def check_machine_free(book):
    """No stored output names a folder of the machine that made it, or an address in its memory."""
    folder = r"(?<![\w.:/])/(?:home|Users|root|tmp|work|var|opt|usr|mnt|content)/[\w.]+|\b[A-Z]:\\\\?\w+"
    pattern = re.compile(rf"{folder}|\bat 0x[0-9a-f]{{6,}}")
    faults = []
    for where, cell in book.code_cells():
        shown = "".join(re.sub(r'data:image/[^"]*', "", json.dumps(output)) for output in cell.outputs)
        found = sorted(set(pattern.findall(shown)))
        faults += [f"{where}: its output depends on the machine: {part}" for part in found]
    return faults


# ---- Claims ----------------------------------------------------------------------------------------------------------


def check_claims(book):
    """Each cell whose output nbval ignores is followed, in its section, by a claim that nbval compares."""
    faults = []
    for where, cell in book.code_cells():
        if "nbval-skip" in tags(cell) or re.search(r"#\s*(NBVAL|PYTEST_VALIDATE)_", cell.source):
            faults.append(f"{where}: nbval must check every cell; only the tag {IGNORED} is allowed")
    for name, notebook in book.notebooks.items():
        for index, cell in enumerate(notebook.cells):
            ignored = cell.cell_type == "code" and IGNORED in tags(cell) and not only_draws(cell)
            if ignored and not claims_follow(notebook.cells[index + 1 :]):
                last = cell.source.splitlines()[-1]
                faults.append(f"{name}: the ignored cell that ends in {last!r} has no claim before the next heading")
    return faults


def only_draws(cell):
    """Whether all that the cell shows are pictures."""
    return bool(cell.outputs) and all("<img" in html_of(output) for output in cell.outputs)


def claims_follow(cells):
    """Whether a cell that states a claim, and that nbval compares, comes before the next heading."""
    for cell in cells:
        if cell.cell_type == "markdown" and re.search(r"^#{1,6} ", cell.source, re.MULTILINE):
            return False
        if cell.cell_type == "code" and IGNORED not in tags(cell) and calls(cell.source, "expect"):
            return True
    return False


def calls(source, name):
    """Whether the Python source calls a function of that name; IPython's own lines are left out."""
    lines = [line for line in source.splitlines() if not line.lstrip().startswith(("%", "!"))]
    found = (node.func for node in ast.walk(ast.parse("\n".join(lines))) if isinstance(node, ast.Call))
    return any(name == getattr(function, "id", getattr(function, "attr", None)) for function in found)


# ---- What a chapter owes its reader ----------------------------------------------------------------------------------


def check_exercises(book):
    """A chapter ends with exercises: each asks, ``check("chapter/name", ...)``, and is solved in a hidden cell."""
    faults = []
    for name, notebook in book.notebooks.items():
        prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
        if "exercise" not in " ".join(re.findall(r"^## (.*)", prose, re.MULTILINE)[-2:]).lower():
            faults.append(f"{name}: does not end with exercises")
        asked, solved = set(), set()
        for cell in notebook.cells:
            found = re.findall(r"\bcheck\(\s*[\"']([^\"']+)", cell.source) if cell.cell_type == "code" else []
            if "hide-cell" not in tags(cell):
                asked.update(found)
            elif found:
                solved.update(found)
                if "Correct" not in "".join(output.get("text", "") for output in cell.outputs):
                    faults.append(f"{name}: the solution of {found[0]} is not found correct")
        faults += [f"{name}: the exercise {missing} has no solution" for missing in sorted(asked - solved)]
        faults += [f"{name}: the solution of {missing} has no question" for missing in sorted(solved - asked)]
        if not asked:
            faults.append(f"{name}: has no exercise that checks an answer")
    return faults


# ---- Alternative texts -----------------------------------------------------------------------------------------------


def fault_of_alt(alt):
    """What is wrong with an alternative text; None where nothing is."""
    if alt is None or not alt.strip():
        return "has no alternative text"
    if re.fullmatch(r"\S*[/\\]\S*|\S+\.\w{2,4}", alt.strip()):
        return f"has a path in place of an alternative text: {alt!r}"
    return None


def check_alternative_texts(book):
    """Every picture, in an output, in a chapter's prose or on a page, says in words what it shows."""
    faults = []
    for where, cell in book.code_cells():
        for output in cell.outputs:
            if any(kind.startswith("image/") for kind in output.get("data", {})):
                faults.append(f"{where}: shows a picture without figures.show(fig, alt)")
            faults += [f"{where}: a picture {fault}" for fault in faults_of_images(html_of(output))]
    for name, notebook in book.notebooks.items():
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                faults += [f"{name}: a picture {fault}" for fault in faults_of_prose(cell.source)]
    for name, text in book.pages.items():
        faults += [f"{name}: a picture {fault}" for fault in faults_of_prose(text)]
    return faults


def faults_of_images(html):
    """The faults of the ``<img>`` and ``<svg>`` elements in HTML."""
    soup = BeautifulSoup(html, "html.parser")
    alts = [image.get("alt") for image in soup.find_all("img")]
    alts += [image.get("aria-label") or (image.title.string if image.title else None) for image in soup.find_all("svg")]
    return [fault for fault in map(fault_of_alt, alts) if fault]


def faults_of_prose(text):
    """The faults of the pictures in MyST Markdown: ``![alt](file)``, image and figure directives, and HTML."""
    text = re.sub(r"^(`{3,})(?!\{(?:image|figure)\}).*?^\1\s*$", "", text, flags=re.MULTILINE | re.DOTALL)
    alts = re.findall(r"!\[([^\]]*)\]\(", text)
    for directive in re.findall(r"^[`:]{3,}\{(?:image|figure)\}.*?^[`:]{3,}\s*$", text, re.MULTILINE | re.DOTALL):
        found = re.search(r"^:?alt:(.*)", directive, re.MULTILINE)
        alts.append(found and found[1])
    prose = re.sub(r"`[^`]*`", "", text)
    return [fault for fault in map(fault_of_alt, alts) if fault] + faults_of_images(prose)


# ---- Table of contents, lecture map, records -------------------------------------------------------------------------


def check_contents(book):
    """Every chapter is in the table of contents, once, and every entry is there."""
    entries = list(files_in(book.read_yaml("_toc.yml")))
    known = {*book.notebooks, *(name.removesuffix(".md") for name in book.pages)}
    faults = [f"_toc.yml: {entry} is not there" for entry in sorted({*entries} - known)]
    faults += [f"_toc.yml: {name} is missing" for name in sorted(known - {*entries})]
    twice = sorted(entry for entry in {*entries} if entries.count(entry) > 1)
    return faults + [f"_toc.yml: {entry} stands there twice" for entry in twice]


def files_in(toc):
    """The files that a table of contents lists, suffixes off, at any depth."""
    if isinstance(toc, list):
        for part in toc:
            yield from files_in(part)
    elif isinstance(toc, dict):
        yield from (re.sub(r"\.(md|ipynb)$", "", toc[key]) for key in ("root", "file") if key in toc)
        for part in toc.values():
            yield from files_in(part)


def check_lecture_map(book):
    """Every topic of the lecture map has an id, words and a target: a label that its chapter holds."""
    content = book.read_yaml("chapters/lecture_map.yml")
    lectures, topics, items = (content.get(key) or {} for key in ("lectures", "topics", "items"))
    faults = [f"{key}: title and author must be given" for key, lecture in lectures.items()
              if not {"title", "author"} <= {*lecture}]  # fmt: skip
    faults += [f"{name}: its topic stands in no words" for name in sorted(items.keys() - topics.keys())]
    faults += [f"{name}: a topic without a target must not be listed" for name in sorted(topics.keys() - items.keys())]
    for name, target in items.items():
        if not re.fullmatch(rf"({'|'.join(lectures)})-\d\d", name):
            faults.append(f"{name}: an id is a lecture ({', '.join(lectures)}), a dash and two digits")
        chapter, _, label = str(target).partition("#")
        if f"chapters/{chapter}" not in book.notebooks:
            faults.append(f"{name}: there is no chapter {chapter}")
        elif label not in labels_in(book.notebooks[f"chapters/{chapter}"]):
            faults.append(f"{name}: there is no label {label or '(none)'} in {chapter}")
    return [f"lecture_map.yml: {fault}" for fault in faults]


def check_errata(book):
    """Every entry names a lecture and a section, and what comes out stands in that chapter's stored outputs."""
    lectures, faults = book.read_yaml("chapters/lecture_map.yml")["lectures"], []
    for entry in book.read_yaml("appendix/errata.yml"):
        where = f"errata.yml, {entry['slide']}"
        if entry["lecture"] not in lectures:
            faults.append(f"{where}: there is no lecture {entry['lecture']}")
        notebook = book.notebooks.get(f"chapters/{entry['chapter']}")
        if notebook is None:
            faults.append(f"{where}: there is no chapter {entry['chapter']}")
            continue
        if entry["label"] not in labels_in(notebook):
            faults.append(f"{where}: there is no label {entry['label']} in {entry['chapter']}")
        shown = " ".join(" ".join(map(text_of, outputs_of(notebook))).split())
        for fact in entry["facts"]:
            if " ".join(fact.split()) not in shown:
                faults.append(f"{where}: no cell of {entry['chapter']} shows {fact!r}")
        if not entry["facts"]:
            faults.append(f"{where}: no facts are given")
    return faults


def outputs_of(notebook):
    """All stored outputs of a notebook."""
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def text_of(output):
    """An output's plain text."""
    return output.get("text") or output.get("data", {}).get("text/plain", "")


def labels_in(notebook):
    """The MyST labels that a notebook's prose sets."""
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    found = re.findall(r"^(?:\((\S+)\)=|:(?:label|name): *(\S+))\s*$", prose, re.MULTILINE)
    return {target or option for target, option in found}


METRICS = {"test_error", "accuracy", "rmse", "mean_iou", "map50", "equal_error_rate", "robust_accuracy",
           "standard_accuracy"}  # fmt: skip
FIELDS = {"name": str, "command": str, "short": bool, "data": dict, "backend": str, "versions": dict, "hardware": str,
          "date": str, "commit": (str, type(None)), "runs": list, "paper": (dict, type(None))}  # fmt: skip


def check_records(book, parses):
    """Every record follows the design, holds finite numbers, and names a command that ``parses``."""
    faults = []
    for path in sorted(book.root.glob("records/*.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            faults.append(f"{path.name}: is not JSON: {error}")
            continue
        found = faults_of_gpu_summary(record) if path.stem == "nbval-gpu" else faults_of_record(record, parses)
        if record.get("name") != path.stem:
            found.append(f"name must be {path.stem!r}, got {record.get('name')!r}")
        faults += [f"{path.name}: {fault}" for fault in [*found, *faults_of_numbers(record)]]
    return faults


def faults_of_record(record, parses):
    """The faults of the record of a training run."""
    faults = [f"{key} is missing" for key in FIELDS.keys() - record.keys()]
    faults += [f"{key} is of the wrong type" for key, kind in FIELDS.items()
               if key in record and not isinstance(record[key], kind)]  # fmt: skip
    if faults:
        return sorted(faults)
    if record["short"]:
        faults.append("a short run does not stand beside the paper")
    faults += [f"data: {key} is missing" for key in ("name", "split", "sha256") if not record["data"].get(key)]
    if not re.fullmatch(r"[0-9a-f]{64}", record["data"].get("sha256", "")):
        faults.append("data: sha256 must be 64 hexadecimal digits")
    faults += fault_of_date(record["date"])
    if not parses(record["command"]):
        faults.append(f"the command line does not know: {record['command']}")
    if record["paper"] and not {"metric", "value", "source"} <= {*record["paper"]}:
        faults.append("paper: metric, value and source must be given")
    return faults + faults_of_runs(record["runs"])


def faults_of_runs(runs):
    """The faults of a record's runs: one a seed, each with time, metrics and curve."""
    faults = [] if runs else ["there are no runs"]
    seeds = [run.get("seed") for run in runs]
    if len({*seeds}) < len(seeds):
        faults.append(f"the seeds must be distinct, got {seeds}")
    for run in runs:
        where = f"seed {run.get('seed')}"
        faults += [f"{where}: {key} is missing" for key in ("seed", "seconds", "metrics", "history") if key not in run]
        faults += [f"{where}: no such metric in the design: {name}" for name in run.get("metrics", {}).keys() - METRICS]
        faults += [f"{where}: {name} must be a fraction, got {value}" for name, value in run.get("metrics", {}).items()
                   if name != "rmse" and not 0 <= value <= 1]  # fmt: skip
        lengths = {len(curve) for curve in run.get("history", {}).values()}
        if len(lengths) != 1 or 0 in lengths:
            faults.append(f"{where}: the curves must have one value an epoch, they have {sorted(lengths)}")
    return faults


def faults_of_gpu_summary(record):
    """The faults of records/nbval-gpu.json, which tools/check_notebooks.py keeps."""
    faults = [] if record.get("runs") else ["there are no runs"]
    for run in record.get("runs", []):
        owed = ("backend", "command", "hardware", "versions", "date", "notebooks")
        faults += [f"{key} is missing" for key in owed if not run.get(key)]
        faults += fault_of_date(run.get("date", ""))
        faults += [f"{run.get('backend')}: {row['failed']} cells failed in {row['notebook']}"
                   for row in run.get("notebooks", []) if row["failed"]]  # fmt: skip
    return faults


def fault_of_date(text):
    """A list with the fault of a date, empty where it has none."""
    try:
        return [] if date.fromisoformat(text) <= date.today() else [f"date: {text} has not come yet"]
    except ValueError:
        return [f"date: must be such as 2026-11-21, got {text!r}"]


def faults_of_numbers(value, where=""):
    """The numbers in a record that are not finite."""
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return [fault for key, inner in items for fault in faults_of_numbers(inner, f"{where}/{key}")]
    return [f"{where} is {value}"] if isinstance(value, float) and not math.isfinite(value) else []


def parses_by(command_line):
    """A predicate: whether the click command line takes ``python -m cnnbook ...``; nothing is run."""
    import click

    def parses(text):
        prefix, arguments = shlex.split(text)[:3], shlex.split(text)[3:]
        if prefix != ["python", "-m", "cnnbook"] or not arguments:
            return False
        command, context = command_line, None
        try:
            while hasattr(command, "resolve_command"):
                context = click.Context(command, parent=context)
                _, command, arguments = command.resolve_command(context, arguments)
            command.make_context(command.name, list(arguments), parent=context)
        except Exception as error:  # typer has classes of its own beside click's
            if isinstance(error, click.ClickException) or hasattr(error, "exit_code"):
                return False
            raise
        return True

    return parses


# ---- The built pages -------------------------------------------------------------------------------------------------


def build_book(source, output):
    """Build a book strictly: every warning is an error. Returns its pages' folder, the exit status and the log."""
    command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()", "build", str(source)]
    options = ["--path-output", str(output), "-W", "--keep-going"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=600)
    return SimpleNamespace(folder=Path(output, "_build", "html"), status=done.returncode, log=done.stdout + done.stderr)


def pages_in(folder):
    """The built pages that a reader opens: path and parsed HTML."""
    for path in sorted(Path(folder).rglob("*.html")):
        if "_static" not in path.relative_to(folder).parts:
            yield path, _parsed(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _parsed(path, changed):
    """A page's tree, which all checks look at and none changes: to make it takes longer than any of them."""
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def check_links(folder):
    """Every link, picture, script and style inside the book leads to a file, and to an id in it."""
    folder = Path(folder).resolve()
    pages = dict(pages_in(folder))
    ids = {path: {tag["id"] for tag in page.find_all(id=True)} for path, page in pages.items()}
    faults = []
    for path, page in pages.items():
        for tag in page.find_all(lambda tag: tag.has_attr("href") or tag.has_attr("src")):
            link = urlsplit(tag.get("href", tag.get("src")))
            if link.scheme or link.netloc or (tag.get("href") == "#"):
                continue
            target = (path.parent / unquote(link.path)).resolve() if link.path else path
            where = f"{path.relative_to(folder)}: {tag.get('href', tag.get('src'))}"
            if not target.is_file():
                faults.append(f"{where}: there is no such file")
            elif link.fragment and target in ids and unquote(link.fragment) not in ids[target]:
                faults.append(f"{where}: there is no such place in the page")
    return faults


LOADING = {"link": "href", "object": "data"} | dict.fromkeys(
    ("script", "img", "iframe", "source", "video", "audio", "embed", "input"), "src")  # fmt: skip


def check_foreign(folder):
    """No page, script tag or style sheet loads anything from another host; links that a reader may follow are fine."""
    faults = []
    for path, page in pages_in(folder):
        where = path.relative_to(folder)
        for tag in page.find_all(list(LOADING)):
            address = tag.get(LOADING[tag.name], "")
            if urlsplit(address).scheme in ("http", "https") or address.startswith("//"):
                faults.append(f"{where}: <{tag.name}> loads {address}")
        for tag in page.find_all(["script", "style"], src=False):
            found = re.findall(r"https?://[^\s\"')]+", tag.text)
            faults += [f"{where}: an inline <{tag.name}> names {address}" for address in found]
    for path in sorted(Path(folder).rglob("*.css")):
        found = re.findall(r"(?:url\(|@import)\s*[\"']?((?:https?:)?//[^\s\"')]+)", path.read_text(encoding="utf-8"))
        faults += [f"{path.relative_to(folder)}: loads {address}" for address in found]
    return faults


def check_rendered(folder):
    """No mark-up is left over in the text: a formula's dollar, a role, a directive, a bold's stars."""
    faults = []
    for path, page in pages_in(folder):
        article = page.find("article") or page.new_tag("article")
        left_out = {id(tag) for tag in article.select("pre, code, script, style, .math, .cell_output")}
        kept = (string for string in article.strings if left_out.isdisjoint(map(id, string.parents)))
        text = " ".join(" ".join(kept).split())
        found = re.findall(r".{0,30}(?:\$|\{\w+\}`|:::|\*\*|\]\().{0,30}", text)
        faults += [f"{path.relative_to(folder)}: left over: {part}" for part in found]
    return faults


def check_heads(folder):
    """Every page names its language, a title, a description and an icon, and has one visible top heading."""
    faults = []
    for path, page in pages_in(folder):
        if path.name in ("search.html", "genindex.html"):
            continue
        where = path.relative_to(folder)
        description = page.find("meta", attrs={"name": "description"})
        owed = {"language": page.html.get("lang"), "title": page.title and page.title.text.strip(),
                "description": description and description.get("content"),
                "icon": page.find("link", rel="icon")}  # fmt: skip
        faults += [f"{where}: has no {what}" for what, value in owed.items() if not value]
        article = page.find("article")
        if article is None or len(article.find_all("h1")) != 1:
            faults.append(f"{where}: must have one top heading")
        faults += [f"{where}: a picture has no alt attribute" for image in page.find_all("img", alt=False)]
    return faults
