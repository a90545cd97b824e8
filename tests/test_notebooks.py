"""tools/notebooks.py: what makes a chapter's notebook from its text, with a real kernel."""

import json

import nbformat
import notebooks as tool
import pytest

TEXT = """---
jupytext:
  formats: ipynb,.myst.md:myst
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

# A chapter

```{code-cell} ipython3
from pathlib import Path

print(Path.cwd().name, 1 + 1)
```

```{code-cell} ipython3
:tags: [hide-input]

LAST
```
"""


@pytest.fixture
def chapter(tmp_path, monkeypatch):
    """A function that writes the chapter's text with a last cell and returns its path; chapters/ is in the cwd."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "chapters" / "part" / "sample.myst.md"
    path.parent.mkdir(parents=True)

    def write(last):
        path.write_text(TEXT.replace("LAST", last), encoding="utf-8")
        return path

    return write


def stored(path):
    return tool.read_notebook(tool.notebook_of(path))


def test_a_notebook_is_made_and_then_left_alone(chapter, capsys):
    path = chapter("6 * 7")
    assert tool.main([]) == 0
    assert "sample.myst.md: executing" in capsys.readouterr().out
    notebook = stored(path)
    nbformat.validate(notebook)
    assert tool.cells(notebook) == tool.cells(tool.read_text(path))
    assert [cell.execution_count for cell in notebook.cells[1:]] == [1, 2]
    assert notebook.cells[1].outputs[0].text == "part 2\n"  # run in the chapter's folder
    assert notebook.cells[2].outputs[0].data["text/plain"] == "42"
    assert notebook.cells[2].metadata == {"tags": ["hide-input"]}  # no times of execution
    assert "version" not in notebook.metadata.language_info

    before = tool.notebook_of(path).read_bytes()
    assert tool.main([]) == 0
    assert "unchanged" in capsys.readouterr().out
    assert tool.main(["--all"]) == 0
    assert tool.notebook_of(path).read_bytes() == before  # the same bytes again, ids included


def test_ids_stay_with_unchanged_cells(chapter):
    first = tool.prepare(tool.read_text(chapter("1"))).cells
    second = tool.prepare(tool.read_text(chapter("2"))).cells
    assert [one.id == other.id for one, other in zip(first, second, strict=True)] == [True, True, False]
    twice = tool.read_text(chapter("1"))
    twice.cells.append(twice.cells[-1].copy())
    ids = [cell.id for cell in tool.prepare(twice).cells]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(("last", "says"), [
    ("1 / 0", ["code cell 2 failed", "| 1 / 0", "ZeroDivisionError: division by zero"]),
    ("import sys; print('hm', file=sys.stderr)", ["code cell 2 wrote to standard error", "hm"]),
    ("import os; os._exit(1)", ["code cell 2 ended the kernel"]),
])  # fmt: skip
def test_a_cell_that_fails_leaves_the_old_notebook(chapter, capsys, last, says):
    path = chapter("1")
    assert tool.main([]) == 0
    before = tool.notebook_of(path).read_bytes()
    chapter(last)
    assert tool.main([]) == 1
    told = capsys.readouterr().err
    assert "sample.myst.md" in told and all(part in told for part in says), told
    assert tool.notebook_of(path).read_bytes() == before
    assert {p.name for p in path.parent.iterdir()} - {"__pycache__"} == {"sample.myst.md", "sample.ipynb"}


def test_a_cell_that_takes_too_long_is_named(chapter, capsys, monkeypatch):
    monkeypatch.setattr(tool, "SECONDS_PER_CELL", 1)
    chapter("import time; time.sleep(60)")
    assert tool.main([]) == 1
    assert "code cell 2 ran longer than 1 s" in capsys.readouterr().err


def edit(path, source):
    """Edit the notebook's last cell, as a reader does in Jupyter."""
    notebook = json.loads(tool.notebook_of(path).read_text())
    notebook["cells"][-1]["source"] = source
    tool.notebook_of(path).write_text(json.dumps(notebook))


def test_an_edit_in_jupyter_is_never_lost(chapter, capsys):
    path = chapter("1")
    assert tool.main([]) == 0
    edit(path, "2 + 2")
    assert tool.main([]) == 1
    told = capsys.readouterr().err
    assert "was edited since it was made" in told and "--from-ipynb" in told and "--from-text" in told
    assert stored(path).cells[-1].source == "2 + 2"

    assert tool.main(["--from-ipynb", str(tool.notebook_of(path))]) == 0
    assert "2 + 2" in path.read_text() and "formats: ipynb,.myst.md:myst" in path.read_text()
    assert stored(path).cells[-1].outputs[0].data["text/plain"] == "4"

    edit(path, "3 + 3")
    assert tool.main(["--from-text"]) == 0
    assert stored(path).cells[-1].source == "2 + 2"


def test_only_what_is_named_is_made(chapter, capsys):
    path = chapter("1")
    path.with_name("other.myst.md").write_text(TEXT.replace("LAST", "2"))
    assert tool.main([str(path)]) == 0
    assert not path.with_name("other.ipynb").exists()
    assert tool.main(["chapters/part/none.myst.md"]) == 1
    assert "there is no such file" in capsys.readouterr().err
    assert tool.main(["README.md"]) == 1
    assert "a chapter is a .myst.md or a .ipynb file" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        tool.main(["--from-ipynb"])
