#!/usr/bin/env python3
"""Make the notebooks from their texts and execute them: this is `make notebooks`.

    python tools/notebooks.py                         every chapter whose notebook does not match its text
    python tools/notebooks.py --all                   every chapter, for example after a change in cnnbook/
    python tools/notebooks.py chapters/foundations/convolution.myst.md      this chapter, whether it changed or not
    python tools/notebooks.py --from-ipynb chapters/foundations/convolution.ipynb
                                                      write the text from a notebook that was edited in Jupyter

A chapter is a pair: `<name>.myst.md` is the text that people edit, `<name>.ipynb` the same cells, executed, outputs
stored. Which of the two changed is decided by their cells, never by the time of the files. The notebook remembers
which cells it was made from; when its cells were edited since, it is not overwritten: the tool says so, and either
`--from-ipynb` carries the edit into the text or `--from-text` drops it.

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
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

TEXT, NOTEBOOK = ".myst.md", ".ipynb"
FORMAT = {"extension": ".md", "format_name": "myst"}
SECONDS_PER_CELL = 600
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


def read_text(path):
    """The text of a chapter as a notebook without outputs."""
    return jupytext.reads(Path(path).read_text(encoding="utf-8"), fmt=FORMAT)


def read_notebook(path):
    """A stored notebook."""
    try:
        return nbformat.read(path, as_version=4)
    except (OSError, nbformat.reader.NotJSONError) as error:
        raise ChapterError(f"{path} cannot be read: {error}") from error


def cells(notebook):
    """What the two files of a pair share: (type, source, metadata) of each cell. Outputs and ids are left out."""
    return [(cell.cell_type, cell.source.strip(), dict(cell.metadata)) for cell in notebook.cells]


def digest(content):
    """Sixteen hexadecimal digits that change with the content."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def is_current(text, notebook):
    """Whether the notebook has the text's cells, and all of them were executed in order."""
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    return cells(text) == cells(notebook) and counts == list(range(1, len(counts) + 1))


def edited_since(notebook):
    """Whether somebody changed the notebook's cells after this tool wrote them."""
    made_from = notebook.metadata.get("cnnbook", {}).get("made_from")
    return made_from is not None and made_from != digest(cells(notebook))


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
                raise fault(number, "failed", cell, "\n".join(cell.outputs[-1].traceback)) from None
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


def make(text_path):
    """Execute one chapter's text and store its notebook; return a line that says how long it took."""
    notebook = prepare(read_text(text_path))
    start = time.monotonic()
    seconds, number = execute(notebook, text_path.parent)
    with whole(notebook_of(text_path), "w", encoding="utf-8") as file:
        file.write(nbformat.writes(notebook) + "\n")
    return f"{time.monotonic() - start:.1f} s (slowest: code cell {number}, {seconds:.1f} s)"


def write_text(notebook_path):
    """Write a chapter's text from its notebook."""
    notebook = read_notebook(notebook_path)
    notebook.metadata = nbformat.from_dict(METADATA)
    del notebook.metadata["language_info"]
    with whole(text_of(notebook_path), "w", encoding="utf-8") as file:
        file.write(jupytext.writes(notebook, fmt=FORMAT))


def needs_making(text_path, from_text):
    """Whether the chapter's notebook does not match its text; raises ChapterError where an edit would be lost."""
    path = notebook_of(text_path)
    if not path.exists():
        return True
    notebook = read_notebook(path)
    if is_current(read_text(text_path), notebook):
        return False
    if edited_since(notebook) and not from_text:
        raise ChapterError(
            f"{path.name} was edited since it was made from its text.\n"
            f"To carry the edit into the text: python tools/notebooks.py --from-ipynb {path}\n"
            f"To drop it: python tools/notebooks.py --from-text {text_path}"
        )
    return True


def main(arguments=None):
    """Run the command line; return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("chapters", nargs="*", type=Path, help="chapters to make (default: all that changed)")
    parser.add_argument("--all", action="store_true", help="every chapter, changed or not")
    edited = parser.add_mutually_exclusive_group()
    edited.add_argument("--from-ipynb", action="store_true", help="first write the text from the notebook")
    edited.add_argument("--from-text", action="store_true", help="overwrite a notebook that was edited in Jupyter")
    options = parser.parse_args(arguments)
    if options.from_ipynb and not options.chapters:
        parser.error("--from-ipynb needs the chapters whose text is to be written")

    failed = 0
    for path in options.chapters or sorted(Path("chapters").rglob(f"*{TEXT}")):
        try:
            if options.from_ipynb:
                write_text(notebook_of(path))
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
