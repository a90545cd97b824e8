"""tools/notebooks.py makes a chapter's notebook from its text, and check_notebooks.py its hangs, with real kernels."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import check_notebooks
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
    ("import matplotlib.pyplot as plt; plt.plot([1]); 1 / 0", ["code cell 2 failed", "division by zero"]),
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
    assert files_of(path) == {"sample.myst.md", "sample.ipynb"}


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
    assert "sample.ipynb was edited since it was made" in told and "--from-ipynb" in told and "--from-text" in told
    assert stored(path).cells[-1].source == "2 + 2"

    assert tool.main(["--from-ipynb", str(tool.notebook_of(path))]) == 0
    assert "2 + 2" in path.read_text() and "formats: ipynb,.myst.md:myst" in path.read_text()
    assert stored(path).cells[-1].outputs[0].data["text/plain"] == "4"
    assert files_of(path) == {"sample.myst.md", "sample.ipynb"}  # the text had no edit of its own to keep

    edit(path, "3 + 3")
    edited = tool.notebook_of(path).read_bytes()
    assert tool.main(["--from-text"]) == 0
    assert stored(path).cells[-1].source == "2 + 2"
    assert path.with_name("sample.ipynb.old").read_bytes() == edited


def files_of(path):
    return {p.name for p in path.parent.iterdir()} - {"__pycache__"}


@pytest.fixture
def pair(chapter):
    """A chapter and its notebook as the tool would store it, but not executed: fast, for what needs no kernel."""
    path = chapter("1")
    notebook = tool.prepare(tool.read_text(path))
    for number, cell in enumerate(notebook.cells[1:], 1):
        cell.execution_count = number
    tool.save(tool.notebook_of(path), notebook)
    assert not tool.needs_making(path, from_text=False) and not tool.stale(stored(path))
    return path


@pytest.fixture
def unexecuted(monkeypatch):
    """No kernel: every execution takes no time and leaves no output."""
    def number(notebook, folder):
        for count, cell in enumerate([cell for cell in notebook.cells if cell.cell_type == "code"], 1):
            cell.execution_count = count
        return 0.0, 1

    monkeypatch.setattr(tool, "execute", number)


@pytest.mark.parametrize("made_from", ["0" * 16, None])
def test_two_sides_that_both_changed_are_left_alone(pair, chapter, capsys, unexecuted, made_from):
    """A text edited behind a stale made_from is one of them: the notebook may have been edited as well."""
    notebook = stored(pair)
    notebook.metadata["cnnbook"] = {"made_from": made_from} if made_from else {}
    notebook.cells[-1].source = "2 + 2"
    tool.save(tool.notebook_of(pair), notebook)
    before = tool.notebook_of(pair).read_bytes()
    chapter("3 + 3")
    for arguments in ([], ["--all"], [str(pair)]):
        assert tool.main(arguments) == 1
        assert "sample.myst.md and" in (told := capsys.readouterr().err) and "sample.ipynb were both edited" in told
        assert "NAME.old" in told
    assert "3 + 3" in pair.read_text() and tool.notebook_of(pair).read_bytes() == before

    assert tool.main(["--from-ipynb", str(pair)]) == 0
    assert "kept as" in capsys.readouterr().out
    assert "2 + 2" in pair.read_text() and "3 + 3" in pair.with_name("sample.myst.md.old").read_text()
    assert not tool.stale(stored(pair))

    edit(pair, "4 + 4")
    chapter("5 + 5")
    assert tool.main(["--from-ipynb", str(pair)]) == 1  # the copy that is kept is never overwritten
    assert "sample.myst.md.old is in the way" in capsys.readouterr().err
    assert "5 + 5" in pair.read_text() and "3 + 3" in pair.with_name("sample.myst.md.old").read_text()
    assert tool.main(["--from-text", str(pair)]) == 0
    assert "4 + 4" in pair.with_name("sample.ipynb.old").read_text() and stored(pair).cells[-1].source == "5 + 5"


def test_a_stale_made_from_is_renewed_where_both_sides_are_equal(pair, chapter, capsys, monkeypatch):
    monkeypatch.setattr(tool, "execute", lambda *_: pytest.fail("executed"))
    right = tool.notebook_of(pair).read_bytes()
    for cnnbook in ({"made_from": "0" * 16}, {}):
        notebook = stored(pair)
        notebook.metadata["cnnbook"] = cnnbook
        tool.save(tool.notebook_of(pair), notebook)
        assert tool.stale(stored(pair))
        assert tool.main([]) == 0
        assert "made_from renewed" in capsys.readouterr().out
        assert tool.notebook_of(pair).read_bytes() == right  # and nothing else of it changed
    chapter("2")
    assert tool.needs_making(pair, from_text=False)  # so that the text's next edit is executed, not refused


def test_a_cell_that_fails_after_from_ipynb_does_not_lock_the_pair(pair, chapter, monkeypatch):
    edit(pair, "1 / 0")
    notebook = stored(pair)
    notebook.cells[-1].execution_count = 7  # as Jupyter counts
    tool.save(tool.notebook_of(pair), notebook)

    def fail(notebook, folder):
        raise tool.ChapterError("ZeroDivisionError")

    monkeypatch.setattr(tool, "execute", fail)
    assert tool.main(["--from-ipynb", str(pair)]) == 1
    assert "1 / 0" in pair.read_text()
    chapter("1 / 2")
    assert tool.needs_making(pair, from_text=False)  # not refused: the text alone changed


def test_a_notebook_saved_while_it_is_executed_is_left(pair, capsys, monkeypatch):
    def saved_meanwhile(notebook, folder):
        edit(pair, "2 + 2")
        return 0.0, 1

    monkeypatch.setattr(tool, "execute", saved_meanwhile)
    assert tool.main(["--all"]) == 1
    assert "was saved by another program meanwhile" in capsys.readouterr().err
    assert stored(pair).cells[-1].source == "2 + 2"


def test_what_jupyter_keeps_of_the_view_is_no_edit(pair):
    notebook = stored(pair)
    notebook.cells[-1].metadata |= {"scrolled": True, "collapsed": False}
    assert not tool.stale(notebook)
    notebook.cells[-1].metadata |= {"tags": ["hide-cell"]}
    assert tool.stale(notebook)


CELL = "```{code-cell} ipython3\nprint(1)\n```\n"
LOST = {  # what hides a cell from the reader of a text: the text behind the header, and the fault with its line
    "an unclosed fence": (f"```python\nx\n\n{CELL}\nprose\n", "line 4: a fence inside that of line 1"),
    "a longer unclosed fence": (f"prose\n\n````\nx\n\n{CELL}\nprose\n", "line 3: a fence that is not closed"),
    "an unclosed last fence": (f"{CELL}\n```python\nx\n", "line 5: a fence that is not closed"),
    "an unclosed last line": (f"{CELL}\n```\n", "line 5: a fence that is not closed"),
    "an unclosed directive": (f"```{{note}}\nx\n\n{CELL}\n", "line 4: a fence inside that of line 1"),
    "an unclosed cell": (f"```{{code-cell}}\nx\n\nprose\n\n{CELL}", "line 6: a fence inside that of line 1"),
    "a listing of a cell": (f"```md\n{CELL}```\n\nprose\n\n{CELL}", "line 2: a fence inside that of line 1"),
    "tildes": (f"~~~\n{CELL}\nprose\n", "line 1: a fence that is not closed"),
    "a cell in a list": ("- ```{code-cell} ipython3\n  1\n  ```\n", "line 1: a cell in a list"),
    "a cell in a quotation": ("> ```{code-cell} ipython3\n> 1\n> ```\n", "line 1: a cell in a list, in a quotation"),
    "a space": ("``` {code-cell} ipython3\n1\n```\n", "line 1: a cell in a list, in a quotation or behind a space"),
    "a comment": (f"<!--\n{CELL}-->\n", "line 2: a cell in the HTML of line 1"),
    "an option without a name": ("text\n\n```{code-cell}\n:::\n\n1\n```\n", "cell 2 would not come back the same"),
    "an option that is no YAML": ("```{code-cell}\n:tags: [b\n\n1\n```\n", "at line 1 could not be read: Invalid YAML"),
}
HEADER = TEXT[: TEXT.index("# A chapter")]


@pytest.mark.filterwarnings("ignore:The following metadata cannot be exported")
@pytest.mark.parametrize(("text", "says"), LOST.values(), ids=LOST)
def test_a_text_that_hides_a_cell_is_refused_with_its_line(pair, capsys, text, says):
    pair.write_text(HEADER + text, encoding="utf-8")
    before = tool.notebook_of(pair).read_bytes()
    says = re.sub(r"line (\d+)", lambda found: f"line {int(found[1]) + HEADER.count(chr(10))}", says)
    assert tool.main([]) == 1
    assert says in (told := capsys.readouterr().err) and "sample.myst.md" in told, told
    assert tool.notebook_of(pair).read_bytes() == before
    assert pair.read_text(encoding="utf-8") == HEADER + text


def test_a_header_that_no_notebook_keeps_is_refused(pair, capsys):
    pair.write_text(TEXT.replace("---\njupytext", "---\nsubtitle: none\njupytext"))
    assert tool.main([]) == 1
    assert "the header has subtitle" in capsys.readouterr().err


KEPT = {  # the same, written so that nothing is hidden
    "a listing in a longer fence": (f"````md\n{CELL}````\n", ["markdown"]),
    "a listing between tildes": (f"~~~\n{CELL}~~~\n\n{CELL}", ["markdown", "code"]),
    "an indented listing": ("a\n\n    ```{code-cell}\n    1\n    ```\n", ["markdown"]),
    "a fence in a list": (f"- ```python\n  x\n  ```\n\n{CELL}", ["markdown", "code"]),
    "a fence in a cell": ("````{code-cell} ipython3\nx\n```python\n```\n````\n", ["code"]),
    "code that begins as an option": ("```{code-cell} ipython3\n\n:x\n```\n", ["code"]),
}


@pytest.mark.parametrize(("text", "kinds"), KEPT.values(), ids=KEPT)
def test_a_text_with_a_listing_comes_back(chapter, text, kinds):
    path = chapter("1")
    path.write_text(HEADER + text, encoding="utf-8")
    notebook = tool.read_text(path)
    assert [cell.cell_type for cell in notebook.cells] == kinds
    assert tool.cells(tool.parse(tool.write(notebook))) == tool.cells(notebook)


def pasted():
    picture = {"image.png": {"image/png": "AAAA"}}
    return nbformat.v4.new_markdown_cell("![a](attachment:image.png)", attachments=picture)


NO_TEXT = {  # cells that are edited into a notebook, behind its two, and what is said of them
    "a pasted picture": (pasted, "cell 4 has a pasted picture"),
    "a listing of a cell": (lambda: nbformat.v4.new_markdown_cell(f"So:\n\n{CELL}"), "cell 4 would not come back"),
    "an unclosed fence": (lambda: nbformat.v4.new_markdown_cell("So:\n\n```python\nx"), "cell 4, line 3: a fence that"),
    "a bare unclosed fence": (lambda: nbformat.v4.new_markdown_cell("So:\n\n```"), "cell 4, line 3: a fence that is"),
    "a block break": (lambda: nbformat.v4.new_markdown_cell("one\n\n+++\n\ntwo"), "cell 4 would not come back"),
    "an empty cell": (lambda: nbformat.v4.new_markdown_cell(""), "(empty)"),
}


@pytest.mark.parametrize(("cell", "says"), NO_TEXT.values(), ids=NO_TEXT)
def test_a_notebook_that_no_text_can_hold_leaves_both_as_they_were(pair, capsys, unexecuted, cell, says):
    notebook = stored(pair)
    notebook.cells.append(cell())
    tool.save(tool.notebook_of(pair), notebook)
    before = pair.read_bytes(), tool.notebook_of(pair).read_bytes()
    assert tool.main([]) == 1  # it is an edit
    assert tool.main(["--from-ipynb", str(pair)]) == 1
    assert says in capsys.readouterr().err
    assert (pair.read_bytes(), tool.notebook_of(pair).read_bytes()) == before
    assert files_of(pair) == {"sample.myst.md", "sample.ipynb"}


def test_a_picture_pasted_into_a_cell_that_stayed_is_an_edit(pair):
    notebook = stored(pair)
    notebook.cells[0]["attachments"] = pasted().attachments
    assert tool.stale(notebook) and not tool.is_current(tool.read_text(pair), notebook)


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


# ---- tools/check_notebooks.py: order and limits; test_project.py has what it finds -----------------------------------


def test_the_longest_notebook_starts_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, size in (("a", 10), ("b", 10), ("new", 10), ("large", 20)):
        Path("part").mkdir(exist_ok=True)
        Path(f"part/{name}.ipynb").write_text("x" * size)
    seconds = {"part/a.ipynb": 1.5, "part/b.ipynb": 30.0}
    found = [Path(name).stem for name in check_notebooks.longest_first(["part"], seconds)]
    assert found == ["large", "new", "b", "a"]
    assert check_notebooks.longest_first(["part/a.ipynb"], seconds) == ["part/a.ipynb"]


DEAF = """import time
while True:
    try:
        print(1, flush=True)
        time.sleep(0.1)
    except KeyboardInterrupt:
        pass"""


def test_a_notebook_that_hangs_is_ended(tmp_path):
    """One that sleeps is interrupted, one that catches the interrupt and goes on printing is killed."""
    for name, source in (("asleep", "import time; time.sleep(600)"), ("deaf", DEAF)):
        cells = [nbformat.v4.new_code_cell(text, execution_count=n) for n, text in enumerate((source, "1 / 0"), 1)]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / f"{name}.ipynb")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "sanitize.cfg").write_text("")
    start = time.monotonic()
    done = subprocess.run([sys.executable, check_notebooks.__file__, "."], cwd=tmp_path, text=True, timeout=240,
                          capture_output=True, env=os.environ | {"NOTEBOOK_SECONDS": "2"})  # fmt: skip
    assert done.returncode == 1 and "Timeout of" in done.stdout, done.stdout
    for name in ("asleep", "deaf"):  # one failed; the cell behind it was not run
        assert re.search(rf"1 cells +1 failed +{name}\.ipynb", done.stdout), done.stdout
    assert "2 skipped" in done.stdout and time.monotonic() - start < 200
    kept = json.loads((tmp_path / ".pytest_cache" / "notebooks.json").read_text())
    assert set(kept) == {"asleep.ipynb", "deaf.ipynb"} and min(kept.values()) > 1


def test_what_takes_long_is_reported_and_no_failure(capsys):
    class Terminal:
        section = line = staticmethod(print)

    times = check_notebooks.Times()
    for name, seconds in (("short", 59.0), ("long", 61.0)):
        times.notebooks[name] |= {"cells": 3, "seconds": seconds}
    times.start -= 901
    times.pytest_terminal_summary(Terminal)
    told = capsys.readouterr().out
    assert re.search(r"failed  long, over 60 s\n", told) and re.search(r"failed  short\n", told)
    assert "in all, over 15 minutes" in told
    times.start += 60
    times.pytest_terminal_summary(Terminal)
    assert "15 minutes" not in capsys.readouterr().out
