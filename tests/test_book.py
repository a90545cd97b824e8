"""The book as a whole: the project's has no fault, and each check finds the fault of a sample broken for it."""

from cnnbook.claims import expect
from cnnbook.exercises import EXERCISES

import base64
import configparser
import importlib
import json
import re

import book_checks as checks
import form_checks as form
import jupytext
import nbformat
import pytest
import yaml
from conftest import ROOT

TEXT_CHECKS = [
    checks.check_pairs, checks.check_made_from, checks.check_executed, checks.check_lengths,
    checks.check_machine_free, checks.check_claims, checks.check_exercises, checks.check_alternative_texts,
    checks.check_contents, checks.check_lecture_map, checks.check_errata, *form.CHECKS,
]  # fmt: skip
PAGE_CHECKS = [checks.check_links, checks.check_foreign, checks.check_rendered, checks.check_heads]


def command_line():
    """The project's command line, as a predicate on commands."""
    from cnnbook.__main__ import app

    import typer

    return checks.parses_by(typer.main.get_command(app))


# ---- The project's book ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def book():
    return checks.Book(ROOT)


@pytest.mark.parametrize("check", TEXT_CHECKS, ids=lambda check: check.__name__)
def test_the_book(book, check):
    assert check(book) == []


def test_there_are_chapters(book):
    assert len(book.notebooks) >= 2  # or the checks above would pass on nothing


def test_the_records(book):
    assert checks.check_records(book, command_line()) == []


def test_the_strict_build(built):
    assert built.status == 0, built.log[-3000:]


@pytest.mark.parametrize("check", PAGE_CHECKS, ids=lambda check: check.__name__)
def test_the_pages(built, check):
    assert len(list(checks.pages_in(built.folder))) >= 5
    assert check(built.folder) == []


def test_no_page_is_left_out(built, book):
    pages = {path.relative_to(built.folder).with_suffix("").as_posix() for path, _ in checks.pages_in(built.folder)}
    assert pages >= {*book.notebooks, *(name.removesuffix(".md") for name in book.pages)}


# ---- A sample without a fault, to be broken --------------------------------------------------------------------------

PNG = "data:image/png;base64," + base64.b64encode(b"not looked at").decode()
OPENING = """(sec-sample)=
# A sample

What is 1 + 1? After this chapter you will be able to break it.

You need a pencil, 2 minutes to read, and 3 seconds on two cores."""
CLOSING = """(sec-remember)=
## What to remember

{bullets}

(sec-end)=
## Exercises

**Predict, then run.** What is 1 + 1? **Derive.** Why? **Change the code.** And 1 + 2?"""
ORIGIN = """(sec-origin)=
## Where this comes from

```{lecture-slides}
```"""
BULLETS = "\n".join(f"- One and {n} make more: {{ref}}`sec-sum`." for n in range(5))
ALT, CAPTION = "A line that falls from left to right.", "Look at the slope, which is the same all along."
RECORD = {
    "name": "sample", "command": "python -m cnnbook train lenet5-mnist", "short": False,
    "data": {"name": "mnist", "split": "60,000 / official 10,000", "sha256": "0" * 64}, "backend": "tensorflow",
    "versions": {"keras": "3"}, "hardware": "CPU, 2 cores", "date": "2026-11-21", "commit": "0" * 40,
    "runs": [{"seed": seed, "seconds": 1.0, "metrics": {"test_error": 0.01}, "history": {"loss": [2.0, 1.0]}}
             for seed in range(2)],
    "paper": {"metric": "test_error", "value": 0.0095, "source": "LeCun1998"},
}  # fmt: skip


def stream(text, name="stdout"):
    return nbformat.v4.new_output("stream", name=name, text=text)


def shown(html):
    return nbformat.v4.new_output("display_data", {"text/html": html, "text/plain": "<HTML object>"})


def code(source, *outputs, tags=()):
    return nbformat.v4.new_code_cell(source, outputs=list(outputs), metadata={"tags": list(tags)} if tags else {})


def figure_html(alt, caption):
    image = f'<img src="{PNG}" alt="{alt}">'
    return shown(f'<figure class="cnnbook-figure">{image}<figcaption>{caption}</figcaption></figure>')


def prose(source):
    return nbformat.v4.new_markdown_cell(source)


class Sample:
    """A little book, in memory until it is written; a test breaks one thing in it."""

    def __init__(self, folder):
        self.folder = folder
        self.cells = [
            prose(OPENING),
            code("print(1 + 1)", stream("2\n")),
            code("print(accuracy)", stream("0.98\n"), tags=["nbval-ignore-output"]),
            code('expect("accuracy", accuracy, at_least=0.9)', stream("accuracy: 0.98, claimed at least 0.9: holds\n")),
            code("figures.show(fig, alt, caption)", figure_html(ALT, CAPTION)),
            prose("(sec-sum)=\n## A sum\n\nA **sum** is what addition gives."),
            code("print(2)", stream("2\n")),
            prose(CLOSING.format(bullets=BULLETS)),
            code('check("sample/sum", ...)', stream("Put your answer in place of the dots.\n")),
            code('check("sample/sum", 2)', stream("Correct. Two.\n"), tags=["hide-cell"]),
            prose(ORIGIN),
        ]
        for number, cell in enumerate((cell for cell in self.cells if cell.cell_type == "code"), 1):
            cell.execution_count = number
        self.toc = {"format": "jb-book", "root": "index", "chapters": [{"file": "chapters/part/sample"}]}
        self.map = {"lectures": {"ryu": {"title": "CNNs", "author": "Seongok Ryu"}}, "topics": {"ryu-01": "A sum"},
                    "items": {"ryu-01": "part/sample#sec-end"}}  # fmt: skip
        self.errata = [{"lecture": "ryu", "slide": "Sums", "shows": "3", "computed": "2", "chapter": "part/sample",
                        "label": "sec-end", "facts": ["2"]}]  # fmt: skip
        self.glossary = {"Sum": "What addition gives."}
        self.record = json.loads(json.dumps(RECORD))
        self.index = "# A book\n\nIts only chapter is [here](chapters/part/sample.ipynb).\n"
        self.made_from = None  # of the cells that there are
        self.after = None  # breaks what was written

    def write(self):
        part = self.folder / "chapters" / "part"
        part.mkdir(parents=True)
        (self.folder / "records").mkdir()
        (self.folder / "appendix").mkdir()
        (self.folder / "appendix" / "glossary.yml").write_text(yaml.safe_dump(self.glossary), encoding="utf-8")
        (self.folder / "appendix" / "errata.yml").write_text(yaml.safe_dump(self.errata), encoding="utf-8")
        notebook = nbformat.v4.new_notebook(cells=self.cells, metadata=checks.tool.METADATA)
        made_from = {"cnnbook": {"made_from": self.made_from or checks.tool.digest(checks.tool.cells(notebook))}}
        notebook.metadata.update(made_from)
        (part / "sample.ipynb").write_text(nbformat.writes(notebook), encoding="utf-8")
        (part / "sample.myst.md").write_text(jupytext.writes(notebook, fmt=checks.tool.FORMAT), encoding="utf-8")
        (part.parent / "lecture_map.yml").write_text(yaml.safe_dump(self.map), encoding="utf-8")
        (self.folder / "_toc.yml").write_text(yaml.safe_dump(self.toc, sort_keys=False), encoding="utf-8")
        (self.folder / "index.md").write_text(self.index, encoding="utf-8")
        (self.folder / "records" / "sample.json").write_text(json.dumps(self.record), encoding="utf-8")
        if self.after:
            self.after(part)
        return checks.Book(self.folder)


@pytest.fixture
def sample(tmp_path):
    return Sample(tmp_path)


def sample_faults(sample):
    """All faults that the checks find in a sample, by check."""
    book = sample.write()
    found = {check.__name__: check(book) for check in TEXT_CHECKS}
    found["check_records"] = checks.check_records(book, lambda command: "lenet5-mnist" in command)
    return {name: faults for name, faults in found.items() if faults}


def test_the_sample_has_no_fault(sample):
    assert sample_faults(sample) == {}


# ---- One break for each check, and the words in which it is told -----------------------------------------------------


def rewrite(name, old, new):
    """A break of a file after it was written."""
    def change(part):
        path = part / name
        content = path.read_text(encoding="utf-8")
        assert old in content
        path.write_text(content.replace(old, new), encoding="utf-8")
    return lambda sample: setattr(sample, "after", change)


def remove(name):
    """A break: a file that is not there."""
    return lambda sample: setattr(sample, "after", lambda part: (part / name).unlink())


def cell(index, **changes):
    """A break of one cell."""
    return lambda sample: [setattr(sample.cells[index], name, value) for name, value in changes.items()]


def insert(index, *cells):
    """A break: more cells. Code cells get a count, so that only what is meant is broken."""
    def change(sample):
        sample.cells[index:index] = cells
        for number, one in enumerate((one for one in sample.cells if one.cell_type == "code"), 1):
            one.execution_count = number
    return change


def record(**changes):
    """A break of the record."""
    return lambda sample: sample.record.update(changes)


def run(**changes):
    """A break of the record's first run."""
    return lambda sample: sample.record["runs"][0].update(changes)


def contents(*files):
    """A break of the table of contents: these entries in place of the sample's."""
    return lambda sample: sample.toc.update(chapters=[{"file": name} for name in files])


def lecture_map(**changes):
    """A break of the lecture map."""
    return lambda sample: [sample.map[key].update(value) for key, value in changes.items()]


def erratum(**changes):
    """A break of the errata's one entry."""
    return lambda sample: sample.errata[0].update(changes)


def figure(html):
    """A cell that shows HTML."""
    return code("show()", shown(html))


ASKED, ANSWER = next((name, int(value)) for name, one in EXERCISES.items() for value in form.numbers_in(one.solution)
                     if value.is_integer() and value >= 100)  # fmt: skip
BREAKS = [
    # check, what is broken, how, what the fault says
    ("pairs", "another source", rewrite("sample.myst.md", "1 + 1)", "1 + 2)"), "cell 2 differs"),
    ("pairs", "another tag", rewrite("sample.myst.md", "nbval-ignore-output", "nbval-other"), "cell 3 differs"),
    ("pairs", "other prose", rewrite("sample.myst.md", "what addition", "all that addition"), "cell 6 differs"),
    ("pairs", "no text", remove("sample.myst.md"), "there is no .myst.md"),
    ("pairs", "no notebook", remove("sample.ipynb"), "there is no .ipynb"),
    ("made_from", "of other cells", lambda sample: setattr(sample, "made_from", "0" * 16), "made_from is not of its"),
    ("executed", "a cell not executed", cell(1, execution_count=None), "execution count None, must be 1"),
    ("executed", "cells out of order", cell(2, execution_count=7), "execution count 7, must be 2"),
    ("executed", "a word on standard error", cell(1, outputs=[stream("Warning!\n", "stderr")]), "error: 'Warning!'"),
    ("executed", "an error", cell(1, outputs=[nbformat.v4.new_output("error", ename="ValueError", evalue="no")]),
     "stores the error ValueError: no"),
    ("lengths", "a long cell", cell(1, source="1\n" * 15), "15 lines, at most 14"),
    ("machine_free", "a folder", cell(1, outputs=[stream("/home/ada/book.py:3\n")]), "/home/ada"),
    ("machine_free", "an address", cell(1, outputs=[stream("<object at 0x7f12ab34cd56>\n")]), "at 0x7f12ab34cd56"),
    ("claims", "no claim", cell(3, source="print(accuracy)"), "has no claim"),
    ("claims", "a claim that is a comment", cell(3, source="# expect(accuracy)\naccuracy"), "has no claim"),
    ("claims", "a claim after the heading", insert(3, prose("### Later")), "has no claim"),
    ("claims", "an ignored claim", cell(3, metadata={"tags": ["nbval-ignore-output"]}), "has no claim"),
    ("claims", "a skipped cell", cell(1, metadata={"tags": ["nbval-skip"]}), "nbval must check every cell"),
    ("claims", "a comment for nbval", cell(1, source="# NBVAL_IGNORE_OUTPUT\n1"), "nbval must check every cell"),
    ("exercises", "no exercises", cell(7, source="(sec-end)=\n## The end"), "does not end with exercises"),
    ("exercises", "no solution", cell(9, source="1"), "sample/sum has no solution"),
    ("exercises", "a wrong solution", cell(9, outputs=[stream("Not yet. Count again.\n")]), "is not found correct"),
    ("exercises", "no question", cell(8, source="1"), "has no question"),
    ("alternative_texts", "no alt", insert(4, figure(f'<img src="{PNG}">')), "has no alternative text"),
    ("alternative_texts", "an empty alt", insert(4, figure(f'<img src="{PNG}" alt=" ">')), "has no alternative text"),
    ("alternative_texts", "a path", insert(4, figure(f'<img src="{PNG}" alt="../_images/4f.png">')), "a path in place"),
    ("alternative_texts", "a file name", insert(4, figure(f'<img src="{PNG}" alt="curve.png">')), "a path in place"),
    ("alternative_texts", "a bare drawing", insert(4, figure("<svg><path d='M0 0'/></svg>")), "no alternative text"),
    ("alternative_texts", "a picture past figures.show",
     insert(4, code("fig", nbformat.v4.new_output("display_data", {"image/png": "iVBO", "text/plain": "<Figure>"}))),
     "without figures.show"),
    ("alternative_texts", "in prose", insert(4, prose("See ![](curve.png)")), "has no alternative text"),
    ("alternative_texts", "a directive", insert(4, prose("```{figure} curve.png\n:width: 3\n```")), "has no alt"),
    ("alternative_texts", "HTML in prose", insert(4, prose('<img src="curve.png">')), "has no alternative text"),
    ("alternative_texts", "on a page", rewrite("../../index.md", "Its", "![a.png](a.png)"), "a path in"),
    ("opening", "no question", cell(0, source=OPENING.replace("?", ".")), "does not give a question"),
    ("opening", "no aim", cell(0, source=OPENING.replace("you will", "one will")), "will be able to do"),
    ("opening", "no needs", cell(0, source=OPENING.replace("You need", "Have")), "what the reader needs"),
    ("opening", "no time to read", cell(0, source=OPENING.replace("2 minutes", "long")), "the minutes to read"),
    ("opening", "no time to run", cell(0, source=OPENING.replace("3 seconds", "long")), "the seconds to run"),
    ("opening", "no title", cell(0, source=OPENING.replace("# A", "A")), "must begin with a label and a title"),
    ("opening", "no label", cell(0, source=OPENING.replace("(sec-sample)=", "")), "with a label and a title"),
    ("opening", "no picture", cell(4, outputs=[]), "the opening has no picture"),
    ("slides", "a lecture in the thread", cell(5, source="## A sum\n\nThe lecture adds."), "A sum: 'lecture' belongs"),
    ("slides", "a slide in the opening", cell(0, source=OPENING + " See the slide."), "opening: 'the slide' belongs"),
    ("slides", "no origin", lambda sample: sample.cells.pop(), "must end with the section 'Where this comes from'"),
    ("slides", "no list", cell(10, source=ORIGIN.replace("{lecture-slides}", "")), "does not list the slides"),
    ("remember", "nothing", cell(7, source="(sec-end)=\n## Exercises"), "no section 'What to remember'"),
    ("remember", "too little", cell(7, source=CLOSING.format(bullets="- One. {ref}`sec-sum`")), "1 things to remember"),
    ("remember", "no link", cell(7, source=CLOSING.format(bullets=BULLETS + "\n- Six.")), "something: 'Six.'"),
    ("remember", "a link to a section that shows nothing",
     cell(7, source=CLOSING.format(bullets=BULLETS + "\n- Six {ref}`sec-remember`.")), "something: 'Six"),
    ("remember", "a link to the whole chapter",
     cell(7, source=CLOSING.format(bullets=BULLETS + "\n- Six {ref}`sec-sample`.")), "something: 'Six"),
    ("captions", "no caption", cell(4, outputs=[shown(f'<img src="{PNG}" alt="{ALT}">')]), "a caption: 'A line"),
    ("captions", "a drawing in the open", cell(4, source="a\nb\nc\nfigures.show(a, b, c)"), "is not folded"),
    ("size", "many words", insert(5, prose("word " * 3900)), "words of prose, at most"),
    ("size", "many cells", insert(6, *[code("1", stream("1")) for _ in range(60)]), "67 code cells"),
    ("size", "helpers in a row", insert(6, *[code("a = 1") for _ in range(3)]), "the third in a row"),
    ("kinds", "nothing to derive", cell(7, source=CLOSING.replace("Derive", "Read")), "begins with **Derive.**"),
    ("answers", "an answer in an output", insert(6, code(f'check("{ASKED}", ...)', stream(f"It is {ANSWER:,}.\n"))),
     f"the answer of {ASKED} stands in an output: {ANSWER}"),
    ("defined", "a term before its definition", insert(5, prose("(sec-a)=\n## Early\n\nA sum grows.")),
     "'Sum' is used before it is defined: 'A sum grows.'"),
    ("streams", "a bare seed", cell(1, source="default_rng(1)"), "default_rng(1) must name its stream"),
    ("streams", "no seed", cell(1, source="np.random.default_rng()"), "must name its stream"),
    ("streams", "one stream twice", cell(1, source="A, B = 0, 0\ndefault_rng([1, A])\ndefault_rng([1, B])"),
     "default_rng([1, B]) draws what default_rng([1, A]) draws"),
    ("streams", "one stream and a zero", cell(1, source="A = 0\ndefault_rng([1, A])\ndefault_rng([1, A, A])"),
     "default_rng([1, A, A]) draws what default_rng([1, A]) draws"),
    ("words_of_claims", "no noun phrase", cell(3, outputs=[stream("accuracy is: 0.98, claimed at least 0.9: holds\n")]),
     "must be a noun phrase, got 'accuracy is'"),
    ("words_of_claims", "an ignored claim", cell(3, metadata={"tags": ["nbval-ignore-output"]}), "nbval ignores"),
    ("contents", "an entry too many", contents("chapters/part/sample", "chapters/part/gone"), "gone is not there"),
    ("contents", "a chapter left out", contents(), "sample is missing"),
    ("contents", "a chapter twice", contents("chapters/part/sample", "chapters/part/sample"), "stands there twice"),
    ("lecture_map", "no such label", lecture_map(items={"ryu-01": "part/sample#sec-none"}), "no label sec-none"),
    ("lecture_map", "no label", lecture_map(items={"ryu-01": "part/sample"}), "no label (none)"),
    ("lecture_map", "no such chapter", lecture_map(items={"ryu-01": "part/none#sec-end"}), "no chapter part/none"),
    ("lecture_map", "no such lecture", lecture_map(items={"kim-01": "part/sample#sec-end"}), "an id is"),
    ("lecture_map", "no words", lecture_map(items={"ryu-02": "part/sample#sec-end"}), "in no words"),
    ("lecture_map", "no target", lecture_map(topics={"ryu-02": "Another"}), "must not be listed"),
    ("errata", "no such lecture", erratum(lecture="kim"), "no lecture kim"),
    ("errata", "no such chapter", erratum(chapter="part/none"), "no chapter part/none"),
    ("errata", "no such label", erratum(label="sec-none"), "no label sec-none"),
    ("errata", "another number", erratum(facts=["2", "4"]), "shows '4'"),
    ("errata", "no number", erratum(facts=[]), "no facts"),
    ("records", "another name", record(name="other"), "name must be 'sample'"),
    ("records", "another command", record(command="python -m cnnbook train nothing"), "the command line does not know"),
    ("records", "a short run", record(short=True), "a short run"),
    ("records", "a missing field", lambda sample: sample.record.pop("hardware"), "hardware is missing"),
    ("records", "a wrong type", record(versions="3.15"), "versions is of the wrong type"),
    ("records", "a bad checksum", record(data=RECORD["data"] | {"sha256": "12"}), "64 hexadecimal digits"),
    ("records", "a date to come", record(date="2999-01-01"), "has not come yet"),
    ("records", "no date", record(date="yesterday"), "must be such as 2026-11-21"),
    ("records", "a paper without a source", record(paper={"metric": "test_error", "value": 0.0095}), "paper: metric"),
    ("records", "no runs", record(runs=[]), "there are no runs"),
    ("records", "one seed twice", run(seed=1), "the seeds must be distinct"),
    ("records", "a percentage", run(metrics={"test_error": 0.95 * 100}), "must be a fraction"),
    ("records", "an unknown metric", run(metrics={"error": 0.01}), "no such metric"),
    ("records", "not a number", run(metrics={"rmse": float("nan")}), "is nan"),
    ("records", "infinite", run(history={"loss": [float("inf"), 1.0]}), "is inf"),
    ("records", "curves of two lengths", run(history={"loss": [1.0], "accuracy": [0.5, 0.6]}), "one value an epoch"),
]  # fmt: skip


@pytest.mark.parametrize(("check", "what", "damage", "says"), BREAKS, ids=[f"{b[0]}: {b[1]}" for b in BREAKS])
def test_a_broken_sample_is_found(sample, check, what, damage, says):
    damage(sample)
    found = sample_faults(sample)
    assert any(says in fault for fault in found.get(f"check_{check}", [])), found


def test_every_check_was_tried_on_a_broken_sample():
    assert {f"check_{b[0]}" for b in BREAKS} == {check.__name__ for check in TEXT_CHECKS} | {"check_records"}


@pytest.mark.parametrize("change", [
    insert(5, prose(":::{note}\nThe lecture says three.\n:::")), insert(5, prose("The window slides over the lines.")),
    insert(5, prose("(sec-a)=\n## Early\n\nA sum, which {ref}`sec-sum` defines, grows.")),
    insert(5, prose("(sec-a)=\n## More (optional)\n\n" + "word " * 3900)),
    cell(1, source="A, B = range(2)\nf = lambda s: default_rng([s, A]), default_rng([s, B])"),
    lambda sample: sample.glossary.update(Addition={"definition": "It gives sums.", "phrases": []}),
])  # fmt: skip
def test_what_the_form_allows(sample, change):
    change(sample)
    assert sample_faults(sample) == {}


def test_an_ignored_drawing_needs_no_claim(sample):
    cell(4, metadata={"tags": ["nbval-ignore-output"]})(sample)
    assert sample_faults(sample) == {}


@pytest.mark.parametrize(("command", "good"), [
    ("python -m cnnbook train lenet5-mnist", True), ("python -m cnnbook data fetch mnist", True),
    ("python -m cnnbook train no-such-recipe", False), ("python -m cnnbook cook lenet5-mnist", False),
    ("python -m cnnbook train lenet5-mnist --no-such-option", False), ("python train.py", False),
])  # fmt: skip
def test_commands_are_parsed_and_not_run(command, good):
    assert command_line()(command) is good


def sanitized(text):
    """What nbval compares of an output."""
    rules = configparser.RawConfigParser()
    assert rules.read(ROOT / "tests" / "sanitize.cfg")
    for name in rules.sections():
        text = re.sub(rules.get(name, "regex"), rules.get(name, "replace"), text)
    return text


def test_nbval_compares_alternative_texts_and_not_pixels():
    image = lambda picture, alt: sanitized(f'<img src="data:image/png;base64,{picture}" alt="{alt}">')
    assert image("iVBOR/+4=", "falls to 3") == image("iVBORx8=", "falls to 3")
    assert image("iVBOR/+4=", "falls to 3") != image("iVBOR/+4=", "falls to 4")


def test_nbval_compares_what_is_claimed_and_not_what_was_measured(capsys):
    def said(what, *values, **band):
        print("before: 1, 2")
        for value in values:
            expect(what, value, **band)
        return sanitized(capsys.readouterr().out)

    assert said("a: b", 0.5, 7, at_least=0.2) == said("a: b", 0.31, 1e9, at_least=0.2)
    assert said("a", [1, 2], equals=[1, 2], within=1) == said("a", [1.5, 2], equals=[1, 2], within=1)
    assert said("a", 0.5, at_least=0.2) != said("a", 0.5, at_least=0.3)
    assert said("a", 0.5, at_least=0.2) != said("b", 0.5, at_least=0.2)
    assert sanitized("loss: 3, epoch: 4\n") == "loss: 3, epoch: 4\n"


def test_a_failed_cell_on_the_gpu_is_found():
    row = {"notebook": "a.ipynb", "cells": 3, "failed": 1, "seconds": 2.0}
    summary = {"runs": [{"backend": "jax", "command": "make test-gpu", "hardware": "GPU", "versions": {"keras": "3"},
                         "date": "2026-11-21", "notebooks": [row]}]}  # fmt: skip
    assert checks.faults_of_gpu_summary(summary) == ["jax: 1 cells failed in a.ipynb"]
    row["failed"] = 0
    assert checks.faults_of_gpu_summary(summary) == []


# ---- Broken pages, and a broken build --------------------------------------------------------------------------------

PAGE = """<!DOCTYPE html><html lang="en"><head><title>A page</title><link rel="icon" href="style.css">
<meta name="description" content="A page"><link rel="stylesheet" href="style.css"></head>
<body><article><h1 id="top">A page</h1><p>It costs \\(x\\). <a href="#top">up</a> <a href="https://keras.io">Keras</a></p>
</article></body></html>"""
PAGE_BREAKS = [
    ("links", "a dead link", ("#top", "none.html"), "no such file"),
    ("links", "a dead place", ('href="#top"', 'href="#bottom"'), "no such place"),
    ("foreign", "a font", ('href="style.css"></head>', 'href="https://fonts.example/a.css"></head>'), "<link> loads"),
    ("foreign", "a script", ("</body>", '<script src="//cdn.example/a.js"></script></body>'), "<script> loads"),
    ("foreign", "an address in a script", ("</body>", '<script>load("https://cdn.example")</script></body>'), "inline"),
    ("rendered", "a formula", ("costs", "costs $x"), "left over"),
    ("rendered", "a role", ("costs", "costs {ref}`a`"), "left over"),
    ("rendered", "stars", ("costs", "**costs"), "left over"),
    ("heads", "no language", (' lang="en"', ""), "no language"),
    ("heads", "no description", ('name="description"', ""), "no description"),
    ("heads", "two top headings", ("<p>", "<h1>Another</h1><p>"), "one top heading"),
    ("heads", "a picture without alt", ("<p>", '<img src="style.css"><p>'), "no alt"),
]  # fmt: skip


def write_page(folder, page=PAGE, style="body { color: black }"):
    (folder / "page.html").write_text(page, encoding="utf-8")
    (folder / "style.css").write_text(style, encoding="utf-8")
    return folder


def test_the_sample_page_has_no_fault(tmp_path):
    write_page(tmp_path)
    assert [check(tmp_path) for check in PAGE_CHECKS] == [[]] * len(PAGE_CHECKS)


@pytest.mark.parametrize(("check", "what", "change", "says"), PAGE_BREAKS, ids=[f"{b[0]}: {b[1]}" for b in PAGE_BREAKS])
def test_a_broken_page_is_found(tmp_path, check, what, change, says):
    assert change[0] in PAGE
    faults = getattr(checks, f"check_{check}")(write_page(tmp_path, PAGE.replace(*change)))
    assert any(says in fault for fault in faults), faults


def test_a_foreign_style_is_found(tmp_path):
    write_page(tmp_path, style="@font-face { src: url(https://fonts.example/a.woff2) }")
    assert checks.check_foreign(tmp_path) == ["style.css: loads https://fonts.example/a.woff2"]


def write_to_build(sample):
    """Write the sample with a lecture map and the project's own configuration."""
    sample.toc["chapters"].append({"file": "appendix/map"})
    sample.write()
    for name in ("_config.yml", "references.bib", "_ext", "_static"):
        (sample.folder / name).symlink_to(ROOT / name)
    directives = ["lecture-map", "errata", "terms", "bibliography"]
    blocks = "\n\n".join(f"```{{{name}}}\n```" for name in directives)
    (sample.folder / "appendix" / "map.md").write_text(f"# Map\n\n{blocks}\n")


def test_the_strict_build_fails_on_a_broken_book(sample):
    """One build of a book with every fault that Sphinx itself must see, with the project's own configuration."""
    sample.cells[5].source += "\n\n{ref}`sec-nowhere`, {cite:p}`Nobody1900`, [gone](gone.md), {eq}`eq-none`"
    insert(1, prose("{ref}`sec-end` and {cite:p}`LeCun1998` stand, {doc}`/index` too"))(sample)
    lecture_map(items={"ryu-01": "part/other#sec-end"})(sample)
    write_to_build(sample)
    result = checks.build_book(sample.folder, sample.folder / "out")
    assert result.status != 0
    expected = ["sec-nowhere", "Nobody1900", "gone.md", "eq-none", "/chapters/part/other",
                "the label sec-end stands in chapters/part/sample, not in chapters/part/other"]  # fmt: skip
    warnings = [line for line in result.log.splitlines() if "WARNING" in line or "ERROR" in line]
    assert [what for what in expected if not any(what in line for line in warnings)] == [], result.log
    assert not any(what in line for line in warnings for what in ("LeCun1998", "document: '/index'"))


def test_figures_are_numbered_slides_listed_and_errata_lead_to_cells(sample, tmp_path_factory):
    insert(5, code("figures.show(fig, alt, caption)", figure_html(ALT, "Look again, at the end of it.")))(sample)
    write_to_build(sample)
    sample.toc["parts"] = [{"numbered": 2, "chapters": sample.toc.pop("chapters")}]
    (sample.folder / "_toc.yml").write_text(yaml.safe_dump(sample.toc, sort_keys=False))
    built = checks.build_book(sample.folder, tmp_path_factory.mktemp("out"))
    assert built.status == 0, built.log
    page = checks.BeautifulSoup((built.folder / "chapters" / "part" / "sample.html").read_text(), "html.parser")
    captions = [caption.get_text() for caption in page.select("figure.cnnbook-figure figcaption")]
    assert captions == [f"Figure 1.1 {CAPTION}", "Figure 1.2 Look again, at the end of it."]
    assert [figure["id"] for figure in page.select("figure.cnnbook-figure")] == ["figure-1", "figure-2"]
    errata = checks.BeautifulSoup((built.folder / "appendix" / "map.html").read_text(), "html.parser")
    links = [link["href"].split("#")[1] for link in errata.select("a[href*='erratum-']")]
    assert [page.find(id=link).get_text().split() for link in links] == [["2"]]  # the cell, not its section
    slides = page.select("#where-this-comes-from .lecture-map li")
    assert [slide.get_text() for slide in slides] == ["CNNs (Seongok Ryu): A sum (Exercises)."]


def test_a_second_build_renews_what_other_pages_say_of_a_changed_one(sample, tmp_path_factory):
    """The sidebar and the lecture map show titles of chapters, and Sphinx alone writes only the changed page anew."""
    sample.toc["chapters"].append({"file": "between"})  # Sphinx does write the neighbours anew
    write_to_build(sample)
    (sample.folder / "between.md").write_text("# Between\n")
    out = tmp_path_factory.mktemp("out")  # not below the source: it would count as a change of the whole book
    first = checks.build_book(sample.folder, out)
    assert first.status == 0, first.log
    chapter = sample.folder / "chapters" / "part" / "sample.ipynb"
    changed = chapter.read_text().replace("# A sample", "# Another name").replace("## Exercises", "## To do")
    chapter.write_text(changed)
    second = checks.build_book(sample.folder, out)
    assert second.status == 0, second.log
    page = (second.folder / "appendix" / "map.html").read_text()
    assert "Another name" in page and "To do" in page and "A sample" not in page


@pytest.mark.parametrize(("changes", "says"), [
    ({"items": {"ryu-01": "part/sample"}}, "ryu-01 must be chapter#label, .* got 'part/sample'"),
    ({"items": {"ryu-02": "part/sample#sec-end"}}, "topics: ryu-02 is missing"),
    ({"items": {"kim-01": "part/sample#sec-end"}}, "'kim-01' must be one of ryu, a dash and two digits"),
])  # fmt: skip
def test_the_lecture_map_names_what_is_wrong(sample, monkeypatch, changes, says):
    """A fault of the file's form is an error of the build that says what to mend."""
    monkeypatch.syspath_prepend(ROOT / "_ext")
    extension = importlib.import_module("lecture_map")
    lecture_map(**changes)(sample)
    sample.write()
    with pytest.raises(ValueError, match=says):
        extension.read(sample.folder / "chapters" / "lecture_map.yml")


@pytest.mark.parametrize(("changes", "says"), [
    ({"lecture": "kim"}, "entry 1: lecture must be one of ryu, got 'kim'"),
    ({"computed": ""}, "entry 1 must have chapter, computed"),
    ({"note": "more"}, "entry 1 must have chapter, computed"),
])  # fmt: skip
def test_the_errata_name_what_is_wrong(sample, monkeypatch, changes, says):
    """Likewise for the page of errata."""
    monkeypatch.syspath_prepend(ROOT / "_ext")
    erratum(**changes)(sample)
    sample.write()
    with pytest.raises(ValueError, match=says):
        importlib.import_module("errata").read(sample.folder)


def test_terms_are_linked_where_first_used_and_indexed_where_defined(sample, tmp_path_factory):
    """And a changed glossary reaches the chapters, though they have not changed."""
    insert(1, prose("## Sums\n\nA **sum** is small, sums are not: a term, `term`, *term*. Terms come twice."
                    " With energy, the energy of a state is found."))(sample)
    write_to_build(sample)
    glossary = sample.folder / "appendix" / "glossary.yml"
    energy = "energy: {definition: What a state has., phrases: [energy of a state]}\n"
    glossary.write_text(f"Sum: What addition gives.\nterm: One of the things that are added.\n{energy}")
    (sample.folder / "genindex.md").write_text("# Index\n")
    sample.toc["chapters"].append({"file": "genindex"})
    (sample.folder / "_toc.yml").write_text(yaml.safe_dump(sample.toc, sort_keys=False))
    out = tmp_path_factory.mktemp("out")
    built = checks.build_book(sample.folder, out)
    assert built.status == 0, built.log
    page = checks.BeautifulSoup((built.folder / "chapters" / "part" / "sample.html").read_text(), "html.parser")
    links = [(link.get_text(), link["href"]) for link in page.select("a.glossary-link")]
    assert links == [("term", "../../appendix/map.html#term-term"),
                     ("energy of a state", "../../appendix/map.html#term-energy")]  # fmt: skip
    assert page.find(id="term-sum").get_text() == "sum"
    assert "chapters/part/sample.html#term-sum" in (built.folder / "genindex.html").read_text()
    glossary.write_text("Sum: What addition gives.\n")
    assert checks.build_book(sample.folder, out).status == 0
    assert "glossary-link" not in (built.folder / "chapters" / "part" / "sample.html").read_text()


def test_a_term_without_a_definition_is_refused(sample, monkeypatch):
    """An empty line of the glossary is no definition."""
    monkeypatch.syspath_prepend(ROOT / "_ext")
    sample.write()
    glossary = sample.folder / "appendix" / "glossary.yml"
    for text, says in [("sum:\n", "a term must have a definition: sum"),
                       ("sum: {definition: ' ', phrases: [a]}\n", "a term must have a definition: sum"),
                       ("sum: {definition: It.}\n", "sum must have a definition and a list of phrases, got definition"),
                       ("sum: {definition: It., phrases: a}\n", "sum must have a definition and a list of phrases")]:
        glossary.write_text(f"{text}term: One of them.\n")
        with pytest.raises(ValueError, match=says):
            importlib.import_module("terms").read(sample.folder)
