"""Sphinx extension: the appendix page of slide numbers that do not survive computing, made from appendix/errata.yml."""

from pathlib import Path

import yaml
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

SOURCE = "appendix/errata.yml"
MAP = "chapters/lecture_map.yml"
KEYS = {"lecture", "slide", "shows", "computed", "chapter", "label", "facts"}


def read(root):
    """The lectures, and the entries in the lectures' order. Raises ValueError for an entry that is not whole."""
    lectures = yaml.safe_load(Path(root, MAP).read_text(encoding="utf-8"))["lectures"]
    entries = yaml.safe_load(Path(root, SOURCE).read_text(encoding="utf-8"))
    for number, entry in enumerate(entries, 1):
        if set(entry) != KEYS or not all(entry.values()):
            raise ValueError(f"entry {number} must have {', '.join(sorted(KEYS))}, got {', '.join(sorted(entry))}")
        if entry["lecture"] not in lectures:
            raise ValueError(f"entry {number}: lecture must be one of {', '.join(lectures)}, got {entry['lecture']!r}")
    return lectures, sorted(entries, key=lambda entry: list(lectures).index(entry["lecture"]))


class Errata(SphinxDirective):
    """A table for each lecture, written as MyST and parsed by it."""

    def run(self):
        """Return the tables; a fault of the file is an error of the build."""
        for name in (SOURCE, MAP):
            self.env.note_dependency(str(Path(self.env.srcdir, name)))
        try:
            lectures, entries = read(self.env.srcdir)
        except (OSError, ValueError, AttributeError, yaml.YAMLError) as fault:
            raise self.error(f"{SOURCE}: {fault}") from fault
        text = "\n".join(line for key, lecture in lectures.items() for line in table(lecture, key, entries))
        parent = nodes.container(classes=["errata"])
        self.state.nested_parse(StringList(text.splitlines(), SOURCE), 0, parent)
        return [parent]


def table(lecture, key, entries):
    """The lines of one lecture's table; none for a lecture without entries."""
    own = [entry for entry in entries if entry["lecture"] == key]
    if not own:
        return
    yield f"**{lecture['author']}**, *{lecture['title']}*\n"
    yield "| Slide | What it shows | What is computed | Where |\n|---|---|---|---|"
    for entry in own:
        cells = [entry["slide"], entry["shows"], entry["computed"], f"{{ref}}`{entry['label']}`"]
        yield "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"
    yield ""


def setup(app):
    """Register the directive."""
    app.add_directive("errata", Errata)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
