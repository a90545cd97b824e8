"""Sphinx extension: the glossary, made from appendix/glossary.yml, and its terms in the chapters.

Where a chapter sets a term in bold, it defines it: the index leads there. The first time that another chapter uses the
term, below its opening, the term links to the glossary. The chapters themselves carry no markup for this. A term that
is a plain English word as well, such as energy, has the phrases by which it is found beside its definition.
"""

import re
from pathlib import Path

import yaml
from docutils import nodes
from docutils.statemachine import StringList
from sphinx import addnodes
from sphinx.transforms import SphinxTransform
from sphinx.util.docutils import SphinxDirective

SOURCE = "appendix/glossary.yml"
PLACES = "chapters/"  # the pages whose terms are linked
CLOSED = (nodes.title, nodes.reference, nodes.literal, nodes.math, nodes.strong, nodes.emphasis, nodes.raw, nodes.table,
          addnodes.pending_xref)  # fmt: skip


def read(root):
    """{term: (definition, phrases)}; the phrases by which a term is found are the term itself unless others are given.

    Raises ValueError where a term has no definition.
    """
    terms = {}
    for term, entry in yaml.safe_load(Path(root, SOURCE).read_text(encoding="utf-8")).items():
        entry = entry if isinstance(entry, dict) else {"definition": entry, "phrases": [term]}
        if not (entry.keys() == {"definition", "phrases"} and isinstance(entry["phrases"], list)):
            raise ValueError(f"{term} must have a definition and a list of phrases, got {', '.join(entry)}")
        if not (isinstance(entry["definition"], str) and entry["definition"].strip()):
            raise ValueError(f"a term must have a definition: {term}")
        terms[term] = entry["definition"], entry["phrases"]
    return terms


class Terms(SphinxDirective):
    """The glossary, in alphabetical order."""

    def run(self):
        """Return the list of definitions; a fault of the file is an error of the build."""
        self.env.note_dependency(str(Path(self.env.srcdir, SOURCE)))
        try:
            terms = read(self.env.srcdir)
        except (OSError, ValueError, AttributeError, yaml.YAMLError) as fault:
            raise self.error(f"{SOURCE}: {fault}") from fault
        lines = [":::{glossary}"]
        for term in sorted(terms, key=str.lower):
            lines += [term, f"  {' '.join(terms[term][0].split())}", ""]
        parent = nodes.container(classes=["terms"])
        self.state.nested_parse(StringList([*lines, ":::"], SOURCE), 0, parent)
        return [parent]


class Link(SphinxTransform):
    """Index a chapter's definitions, and link its first uses."""

    default_priority = 700  # before the domains collect the index (850)

    def apply(self, **kwargs):
        """Walk the page's paragraphs in reading order."""
        if not self.env.docname.startswith(PLACES):
            return
        terms = _terms(self.env)
        bold = {term.lower(): term for term in terms}
        names = {phrase.lower(): term for term, phrases in terms.items() for phrase in phrases}
        bold |= names
        either = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
        pattern = re.compile(rf"(?<![\w-])({either})s?(?![\w-])", re.IGNORECASE)
        done = set()
        for strong in list(self.document.findall(nodes.strong)):
            said = strong.astext().lower()
            term = bold.get(said) or bold.get(said.removesuffix("s"))
            if term and term not in done:
                done.add(term)
                self._index(strong, term)
        for text in list(self.document.findall(nodes.Text)):
            if _open(text):
                self._link(text, pattern, names, done)

    def _index(self, strong, term):
        target = f"term-{nodes.make_id(term)}"
        strong["ids"].append(target)
        strong.parent.insert(strong.parent.index(strong), addnodes.index(entries=[("single", term, target, "", None)]))

    def _link(self, text, pattern, names, done):
        parts, start = [], 0
        for found in pattern.finditer(str(text)):
            term = names[found[1].lower()]
            if term in done:
                continue
            done.add(term)
            link = addnodes.pending_xref(
                "", nodes.inline("", found[0]), refdomain="std", reftype="term", reftarget=term, refexplicit=True,
                refwarn=True, refdoc=self.env.docname, classes=["glossary-link"],
            )  # fmt: skip
            parts += [nodes.Text(str(text)[start : found.start()]), link]
            start = found.end()
        if parts:
            text.parent.replace(text, [*parts, nodes.Text(str(text)[start:])])


def _open(text):
    """Whether the text may hold links: in a paragraph of a section, not in the page's opening, a link or a formula."""
    around, node = [], text.parent
    while node is not None:
        around.append(node)
        node = node.parent
    kinds = [sum(isinstance(node, kind) for node in around) for kind in (nodes.paragraph, nodes.section, CLOSED)]
    return kinds[0] >= 1 and kinds[1] >= 2 and kinds[2] == 0


def _terms(env):
    if not hasattr(env, "glossary_terms"):
        env.glossary_terms = {term: phrases for term, (_, phrases) in read(env.srcdir).items()}
    return env.glossary_terms


def renew(app, env, added, changed, removed):
    """Read every page anew when the list of terms has changed."""
    now = {term: phrases for term, (_, phrases) in read(app.srcdir).items()}
    stale = getattr(env, "glossary_terms", None) != now
    env.glossary_terms = now
    return list(env.found_docs) if stale else []


def setup(app):
    """Register the directive and the transform."""
    app.add_directive("terms", Terms)
    app.add_transform(Link)
    app.connect("env-get-outdated", renew)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
