"""Sphinx extension: which slide of which lecture is executed where, from chapters/lecture_map.yml.

The directive ``lecture-map`` draws all of it, for the appendix: a tab for each lecture, in it a row for each slide
topic that a chapter covers, with a link to the section. ``lecture-slides`` draws a chapter's own part of it, for the
chapter's section "Where this comes from". A target that is not there is a warning of the build.
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


class _FromMap(SphinxDirective):
    """What is written as MyST from the map, and parsed by it, so that links are checked like any other."""

    def run(self):
        """Return what was parsed; a fault of the file is an error of the build."""
        path = Path(self.env.srcdir, SOURCE)
        self.env.note_dependency(str(path))
        try:
            lectures, rows = read(path)
        except (OSError, ValueError, AttributeError, yaml.YAMLError) as fault:
            raise self.error(f"{SOURCE}: {fault}") from fault
        parent = nodes.container(classes=["lecture-map"])
        self.state.nested_parse(StringList(self.text(lectures, rows).splitlines(), str(path)), 0, parent)
        return [parent]


class LectureMap(_FromMap):
    """A tab for each lecture."""

    def text(self, lectures, rows):
        """The tabs."""
        self.env.metadata[self.env.docname]["lecture_map"] = rows
        text = "\n".join(line for key, lecture in lectures.items() for line in tab(lecture, key, rows))
        return f"::::{{tab-set}}\n{text}\n::::"


class LectureSlides(_FromMap):
    """The slide topics that this chapter executes, lecture by lecture."""

    def text(self, lectures, rows):
        """A list, or an error where no slide leads to this chapter."""
        own = [row for row in rows if f"chapters/{row[3]}" == self.env.docname]
        if not own:
            raise self.error(f"{SOURCE}: no slide leads to {self.env.docname}; leave the directive out")
        return "\n".join(
            f"- {lecture['title']} ({lecture['author']}): "
            + "; ".join(f"{topic} ({{ref}}`{label}`)" for _, _, topic, _, label in topics) + "."
            for key, lecture in lectures.items() if (topics := [row for row in own if row[1] == key])
        )  # fmt: skip


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
    """Register the directives."""
    app.add_directive("lecture-map", LectureMap)
    app.add_directive("lecture-slides", LectureSlides)
    app.connect("env-check-consistency", check)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
