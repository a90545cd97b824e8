"""Sphinx extension: the appendix page of slide numbers that do not survive computing, made from appendix/errata.yml.

Each entry links to the cell whose output shows the first of its facts; the chapters carry no markup for this.
"""

import hashlib
from pathlib import Path

import yaml
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.transforms import SphinxTransform
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
        cells = [entry["slide"], entry["shows"], entry["computed"], f"{{ref}}`{anchor(entry)}`"]
        yield "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"
    yield ""


def anchor(entry):
    """The label of the cell that an entry leads to; it stays while the entry stays."""
    return "erratum-" + hashlib.sha256(f"{entry['lecture']} {entry['slide']} {entry['shows']}".encode()).hexdigest()[:8]


class Anchors(SphinxTransform):
    """Label the cells that the errata lead to."""

    default_priority = 700  # before the domain collects the labels

    def apply(self, **kwargs):
        """Find the first cell of a chapter whose output has the entry's first fact."""
        own = [entry for entry in _entries(self.env) if f"chapters/{entry['chapter']}" == self.env.docname]
        outputs = [node for node in self.document.findall(nodes.container) if "cell_output" in node["classes"]]
        for entry in own:
            fact = " ".join(entry["facts"][0].split())
            shows = (node for node in outputs if fact in " ".join(node.astext().split()))
            if (cell := next(shows, None)) is not None:  # a test holds that there is one
                cell["ids"].append(anchor(entry))
                section = next(_sections(cell), None)
                title = "the cell" if section is None else section.next_node(nodes.title).astext()
                standard = self.env.get_domain("std")
                standard.note_hyperlink_target(anchor(entry), self.env.docname, anchor(entry), title)


def _sections(node):
    while node is not None:
        if isinstance(node, nodes.section):
            yield node
        node = node.parent


def _entries(env):
    if not hasattr(env, "errata_entries"):
        env.errata_entries = read(env.srcdir)[1]
    return env.errata_entries


def renew(app, env, added, changed, removed):
    """Read the chapters anew when the errata have changed."""
    try:
        now = read(app.srcdir)[1]
    except (OSError, ValueError, AttributeError, TypeError, yaml.YAMLError):
        now = []  # the directive says what is wrong
    stale = getattr(env, "errata_entries", None) != now
    env.errata_entries = now
    return list(env.found_docs) if stale else []


def setup(app):
    """Register the directive and the transform."""
    app.add_directive("errata", Errata)
    app.add_transform(Anchors)
    app.connect("env-get-outdated", renew)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
