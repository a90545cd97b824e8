"""Sphinx extension: the appendix page that says which slide of which lecture is executed where.

The directive ``lecture-map`` draws chapters/lecture_map.yml: a tab for each lecture, in it a row for each slide topic
that a chapter covers, with a link to the section. A target that is not there is a warning of the build.
"""

import re
from pathlib import Path

import yaml
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

logger = logging.getLogger(__name__)
SOURCE = "chapters/lecture_map.yml"
ID = re.compile(r"(?P<lecture>[a-z]+)-(?P<number>\d\d)")


def read(path):
    """The map as (lectures, rows): rows are (id, lecture, topic, chapter, label), in the order of the slides.

    Raises ValueError where the file does not say what it must.
    """
    content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    lectures, topics, items = (content.get(key) or {} for key in ("lectures", "topics", "items"))
    rows = []
    for name, target in sorted(items.items()):
        found = ID.fullmatch(name)
        if not found or found["lecture"] not in lectures:
            raise ValueError(f"items: {name!r} must be one of {', '.join(lectures)}, a dash and two digits")
        if name not in topics:
            raise ValueError(f"topics: {name} is missing, what the slide is about, in our own words")
        chapter, mark, label = str(target).partition("#")
        if not (chapter and mark and label):
            raise ValueError(f"items: {name} must be chapter#label, such as architectures/lenet#sec-c3, got {target!r}")
        rows.append((name, found["lecture"], topics[name], chapter, label))
    return lectures, rows


class LectureMap(SphinxDirective):
    """Tabs of the lectures, written as MyST and parsed by it, so that links are checked like any other."""

    def run(self):
        """Return the tabs; a fault of the file is an error of the build."""
        path = Path(self.env.srcdir, SOURCE)
        self.env.note_dependency(str(path))
        try:
            lectures, rows = read(path)
        except (OSError, ValueError, AttributeError, yaml.YAMLError) as fault:
            raise self.error(f"{SOURCE}: {fault}") from fault
        self.env.metadata[self.env.docname]["lecture_map"] = rows
        text = "\n".join(line for key, lecture in lectures.items() for line in tab(lecture, key, rows))
        parent = nodes.container(classes=["lecture-map"])
        self.state.nested_parse(StringList(f"::::{{tab-set}}\n{text}\n::::".splitlines(), str(path)), 0, parent)
        return [parent]


def tab(lecture, key, rows):
    """The lines of one lecture's tab; none for a lecture that no chapter covers yet."""
    own = [row for row in rows if row[1] == key]
    if not own:
        return
    short = lecture.get("short") or lecture["author"].split(",")[0]
    yield f":::{{tab-item}} {short}"
    yield f"**{lecture['title']}**, {lecture['author']}\n"
    yield "| Slide topic | Executed in |\n|---|---|"
    for _, _, topic, chapter, label in own:
        yield f"| {topic.replace('|', chr(92) + '|')} | {{doc}}`/chapters/{chapter}`: {{ref}}`{label}` |"
    yield ":::"


def check(app, env):
    """Warn of a label that stands in another chapter than the map says; of one that stands nowhere, Sphinx warns."""
    labels = env.domaindata["std"]["anonlabels"]
    for docname, metadata in env.metadata.items():
        for name, _, _, chapter, label in metadata.get("lecture_map", []):
            if label in labels and labels[label][0] != f"chapters/{chapter}":
                logger.warning("%s: %s: the label %s stands in %s, not in chapters/%s",
                               SOURCE, name, label, labels[label][0], chapter, location=docname)  # fmt: skip


def setup(app):
    """Register the directive."""
    app.add_directive("lecture-map", LectureMap)
    app.connect("env-check-consistency", check)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
