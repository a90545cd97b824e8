#!/usr/bin/env python3
"""Make the notebooks from their texts and execute them: this is `make notebooks`.

    python tools/notebooks.py                         every chapter whose notebook does not match its text
    python tools/notebooks.py --all                   every chapter, for example after a change in cnnbook/
    python tools/notebooks.py chapters/foundations/convolution.myst.md      this chapter, whether it changed or not
    python tools/notebooks.py --from-ipynb chapters/foundations/convolution.ipynb
                                                      write the text from a notebook that was edited in Jupyter

A chapter is a pair: `<name>.myst.md` is the text that people edit, `<name>.ipynb` the same cells, executed, outputs
stored. Which of the two changed is decided by their cells, never by the time of the files: the notebook remembers, as
`made_from`, a digest of the cells that both had when it was made. A text that changed alone is executed. A notebook
that changed is not overwritten; the tool says so, and leaves the choice to two options. `--from-ipynb` carries the edit
into the text, `--from-text` drops it, and what either overwrites of a side that changed stays beside as `<name>.old`.
Where both sides have the same cells and only `made_from` is older, it is renewed.

What would not come back the same from the other side of the pair is refused with its line or cell: a fence that is not
closed, a code cell that the text hides in a listing or a list, a pasted picture (which the text cannot hold).

A notebook is written only when every cell ran without an error and without writing to standard error, and then in
one step; otherwise the old one stays, and the chapter, the cell and the error are named (exit status 1).
"""

from cnnbook.files import whole

import argparse
import hashlib
import json
import os
import re
import sys
import time
from pathlib import Path

import jupytext
import nbformat
from jupytext.myst import get_parser
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

TEXT, NOTEBOOK = ".myst.md", ".ipynb"
FORMAT = {"extension": ".md", "format_name": "myst"}
SECONDS_PER_CELL = 600
FENCE = re.compile(r"[\s>]*(`{3,}|~{3,})\s*([^\s`][^`]*)$")  # the first line of one that says what it holds
IS_CELL = ("{code-cell}", "{raw-cell}")
VIEW = {"autoscroll", "collapsed", "execution", "ExecuteTime", "scrolled", "trusted"}  # of Jupyter; a text has none
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
METADATA = {
    "jupytext": {"formats": "ipynb,.myst.md:myst"},
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"file_extension": ".py", "mimetype": "text/x-python", "name": "python",
                      "pygments_lexer": "ipython3"},
}  # fmt: skip


class ChapterError(Exception):
    """What went wrong with a chapter, in words for its author."""


def text_of(path):
    """The `.myst.md` path of a pair, whichever of its two files is given."""
    path = Path(path)
    for suffix in (TEXT, NOTEBOOK):
        if path.name.endswith(suffix):
            return path.with_name(path.name.removesuffix(suffix) + TEXT)
    raise ChapterError(f"{path}: a chapter is a {TEXT} or a {NOTEBOOK} file")


def notebook_of(path):
    """The `.ipynb` path of a pair, whichever of its two files is given."""
    text = text_of(path)
    return text.with_name(text.name.removesuffix(TEXT) + NOTEBOOK)


def fence_faults(text):
    """What hides cells from the reader of a text: [(line, what is wrong)]."""
    lines, faults = text.split("\n"), []
    for token in get_parser().parse(text + "\n"):
        if token.type not in ("fence", "html_block"):
            continue
        first, end = token.map
        inside = [(number, found) for number in range(first + 1, end) if (found := FENCE.match(lines[number]))]
        if token.type == "html_block":
            faults += [(number + 1, f"a cell in the HTML of line {first + 1} is not executed")
                       for number, found in inside if found[2].startswith(IS_CELL)]  # fmt: skip
            continue
        mark, last = token.markup, lines[end - 1].strip("> \t\r")
        faults += [(number + 1, f"a fence inside that of line {first + 1}: close that one, or make it longer")
                   for number, found in inside if found[1].startswith(mark)][:1]  # fmt: skip
        if end - 1 == first or not last.startswith(mark) or set(last) != {mark[0]}:
            faults.append((first + 1, "a fence that is not closed"))
        if token.info.strip().startswith(IS_CELL) and (token.level or token.info[0] == " "):
            faults.append((first + 1, "a cell in a list, in a quotation or behind a space is not executed"))
    return sorted(faults)


def parse(text):
    """The text as a notebook without outputs; raises ChapterError where it hides a cell or cannot be read."""
    faults = fence_faults(text)
    if faults:
        raise ChapterError("\n".join(f"line {line}: {what}" for line, what in faults))
    try:
        notebook = jupytext.reads(text, fmt=FORMAT)
    except Exception as error:  # of jupytext, or of the YAML below it
        raise ChapterError(f"this is no text of a chapter: {error}") from error
    unknown = sorted(set(notebook.metadata) - METADATA.keys())
    if unknown:
        raise ChapterError(f"the header has {', '.join(unknown)}, which no notebook keeps")
    return notebook


def write(notebook):
    """The text of a notebook's cells; raises ChapterError where they would not come back from it."""
    for number, cell in enumerate(notebook.cells, 1):
        if cell.get("attachments"):
            raise ChapterError(f"cell {number} has a pasted picture, which a text cannot hold: save it as a file "
                               "beside the chapter, name that file in the cell, and delete the attachment")  # fmt: skip
        faults = fence_faults(cell.source) if cell.cell_type == "markdown" else []
        if faults:
            raise ChapterError(f"cell {number}, line {faults[0][0]}: {faults[0][1]}")
    bare = nbformat.from_dict({**notebook, "metadata": {k: v for k, v in METADATA.items() if k != "language_info"}})
    text = jupytext.writes(bare, fmt=FORMAT)
    here, back = cells(notebook), cells(parse(text))
    if here != back:
        same = [one == other for one, other in zip(here, back, strict=False)]
        number = same.index(False) if False in same else min(len(back), len(here) - 1)
        source = "\n".join(f"    | {line}" for line in here[number][1].splitlines()) or "    (empty)"
        raise ChapterError(f"cell {number + 1} would not come back the same from the text\n{source}")
    return text


def read_text(path):
    """The text of a chapter as a notebook without outputs; raises ChapterError where a cell would be lost."""
    path = Path(path)
    try:
        notebook = parse(path.read_text(encoding="utf-8"))
        write(notebook)
    except (OSError, UnicodeDecodeError) as error:
        raise ChapterError(f"{path} cannot be read: {error}") from error
    except ChapterError as error:
        raise ChapterError(f"{path.name}: {error}") from error
    return notebook


def read_notebook(path):
    """A stored notebook."""
    try:
        return nbformat.read(path, as_version=4)
    except (OSError, nbformat.reader.NotJSONError) as error:
        raise ChapterError(f"{path} cannot be read: {error}") from error


def cells(notebook):
    """What the two files of a pair share: (type, source, metadata) of each cell.

    Outputs, ids, what Jupyter keeps of the view, and blank lines around a source are left out; pasted pictures are not.
    """
    return [
        (
            cell.cell_type,
            re.sub(r"\A(?:[ \t]*\n)+", "", cell.source).rstrip(),
            {key: value for key, value in cell.metadata.items() if key not in VIEW}
            | ({"attachments": cell.attachments} if cell.get("attachments") else {}),
        )
        for cell in notebook.cells
    ]


def digest(content):
    """Sixteen hexadecimal digits that change with the content."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def is_current(text, notebook):
    """Whether the notebook has the text's cells, and all of them were executed in order."""
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    return cells(text) == cells(notebook) and counts == list(range(1, len(counts) + 1))


def stale(notebook):
    """Whether the notebook's cells are not those it was made from, or it does not say from which."""
    return notebook.metadata.get("cnnbook", {}).get("made_from") != digest(cells(notebook))


def prepare(text):
    """The notebook of a text, ready to execute: fixed metadata, and ids that stay while a cell's content stays."""
    notebook = nbformat.v4.new_notebook(metadata=METADATA | {"cnnbook": {"made_from": digest(cells(text))}})
    notebook.nbformat_minor = 5
    seen = {}
    for cell, content in zip(text.cells, cells(text), strict=True):
        name = digest(content)[:8]
        seen[name] = seen.get(name, 0) + 1
        cell["id"] = name if seen[name] == 1 else f"{name}-{seen[name]}"
        notebook.cells.append(cell)
    return notebook


def execute(notebook, folder):
    """Run every cell in the folder, store the outputs, and return the seconds of the slowest cell and its number."""
    environment = os.environ | {"PYTHONHASHSEED": "0", "JUPYTER_PREFER_ENV_PATH": "1"}
    environment.pop("MPLBACKEND", None)  # the kernel has its own
    client = NotebookClient(
        notebook, kernel_name="python3", timeout=SECONDS_PER_CELL, record_timing=False, coalesce_streams=True,
        extra_arguments=["--log-level=ERROR"], resources={"metadata": {"path": str(folder)}},
    )  # fmt: skip
    slowest = (0.0, 0)
    with client.setup_kernel(env=environment):
        number = 0
        for index, cell in enumerate(notebook.cells):
            if cell.cell_type != "code":
                continue
            number += 1
            start = time.monotonic()
            try:
                client.execute_cell(cell, index, execution_count=number)
            except CellExecutionError:
                error = next(o for o in cell.outputs if o.output_type == "error")  # a figure may be shown after it
                raise fault(number, "failed", cell, "\n".join(error.traceback)) from None
            except CellTimeoutError:
                raise fault(number, f"ran longer than {SECONDS_PER_CELL} s", cell) from None
            except DeadKernelError:
                raise fault(number, "ended the kernel (out of memory?)", cell) from None
            slowest = max(slowest, (time.monotonic() - start, number))
            said = "".join(o.text for o in cell.outputs if o.output_type == "stream" and o.name == "stderr")
            if said:
                raise fault(number, "wrote to standard error, which a chapter does not store", cell, said)
    return slowest


def fault(number, what, cell, text=""):
    """The error of a code cell: what happened, the cell's source set off from the rest, and the text it left."""
    source = "\n".join(f"    | {line}" for line in cell.source.splitlines())
    return ChapterError(f"code cell {number} {what}\n{source}\n{COLOUR.sub('', text)}")


def save(path, notebook):
    """Write the notebook in one step."""
    with whole(path, "w", encoding="utf-8") as file:
        file.write(nbformat.writes(notebook) + "\n")


def renew(path, notebook):
    """Let a notebook whose cells are those of its text say so; nothing else of it changes."""
    notebook.metadata.setdefault("cnnbook", {})["made_from"] = digest(cells(notebook))
    save(path, notebook)


def set_aside(path):
    """Keep a copy of a file that is about to be overwritten; return the copy's path."""
    kept = path.with_name(f"{path.name}.old")
    try:
        with open(kept, "xb") as file:
            file.write(path.read_bytes())
    except FileExistsError:
        if kept.read_bytes() != path.read_bytes():
            raise ChapterError(f"{kept} is in the way: it keeps an earlier edit, move or delete it first") from None
    return kept


def make(text_path):
    """Execute one chapter's text and store its notebook; return a line that says how long it took."""
    path = notebook_of(text_path)
    before = path.read_bytes() if path.exists() else None
    notebook = prepare(read_text(text_path))
    start = time.monotonic()
    seconds, number = execute(notebook, text_path.parent)
    if before != (path.read_bytes() if path.exists() else None):
        raise ChapterError(f"{path.name} was saved by another program meanwhile, and is left as it is now")
    save(path, notebook)
    return f"{time.monotonic() - start:.1f} s (slowest: code cell {number}, {seconds:.1f} s)"


def write_text(notebook_path):
    """Write a chapter's text from its notebook; return where a text that changed as well is kept, or None."""
    notebook, path, kept = read_notebook(notebook_path), text_of(notebook_path), None
    text = write(notebook)
    if path.exists():
        made_from = notebook.metadata.get("cnnbook", {}).get("made_from")
        try:
            known = digest(cells(parse(path.read_text(encoding="utf-8")))) in (made_from, digest(cells(notebook)))
        except (ChapterError, UnicodeDecodeError):
            known = False
        kept = None if known else set_aside(path)
    with whole(path, "w", encoding="utf-8") as file:
        file.write(text)
    renew(notebook_path, notebook)  # or, should a cell fail now, the next edit of the text would look like one of both
    return kept


def needs_making(text_path, from_text):
    """Whether the chapter must be executed; raises ChapterError where that would overwrite an edit of the notebook."""
    path = notebook_of(text_path)
    text = read_text(text_path)
    if not path.exists():
        return True
    notebook = read_notebook(path)
    if is_current(text, notebook):
        if stale(notebook):
            renew(path, notebook)
            print(f"{path}: made_from renewed, the cells are those of the text", flush=True)
        return False
    if cells(text) == cells(notebook) or not stale(notebook):
        return True
    if from_text:
        print(f"{path}: the edited notebook is kept as {set_aside(path)}", flush=True)
        return True
    both = notebook.metadata.get("cnnbook", {}).get("made_from") != digest(cells(text))
    what = f"{text_path.name} and {path.name} were both" if both else f"{path.name} was"
    raise ChapterError(
        f"{what} edited since it was made from its text.\n"
        f"To carry the notebook's edit into the text: python tools/notebooks.py --from-ipynb {path}\n"
        f"To drop it: python tools/notebooks.py --from-text {text_path}\n"
        "What is overwritten and was edited stays beside as NAME.old."
    )


def main(arguments=None):
    """Run the command line; return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("chapters", nargs="*", type=Path, help="chapters to make (default: all that changed)")
    parser.add_argument("--all", action="store_true", help="every chapter, changed or not")
    edited = parser.add_mutually_exclusive_group()
    kept = ", and keep it as NAME.old where it was edited"
    edited.add_argument("--from-ipynb", action="store_true", help=f"overwrite the text from the notebook{kept}")
    edited.add_argument("--from-text", action="store_true", help=f"overwrite the notebook from the text{kept}")
    options = parser.parse_args(arguments)
    if options.from_ipynb and not options.chapters:
        parser.error("--from-ipynb needs the chapters whose text is to be written")

    failed = 0
    for path in options.chapters or sorted(Path("chapters").rglob(f"*{TEXT}")):
        try:
            if options.from_ipynb:
                kept = write_text(notebook_of(path))
                if kept:
                    print(f"{text_of(path)}: the edited text is kept as {kept}", flush=True)
            text_path = text_of(path)
            if not text_path.exists():
                raise ChapterError("there is no such file")
            if needs_making(text_path, options.from_text) or options.all or options.chapters:
                print(f"{text_path}: executing ...", flush=True)
                print(f"{text_path}: {make(text_path)}", flush=True)
            else:
                print(f"{text_path}: unchanged", flush=True)
        except ChapterError as error:
            failed += 1
            print(f"{path}: {error}", file=sys.stderr, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
