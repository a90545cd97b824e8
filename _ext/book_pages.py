"""Sphinx extension: five small things that the pages of the book need."""

import copy
import html

from docutils import nodes

FIGURE = '<figure class="cnnbook-figure">'
LENGTH = 200  # characters; search engines show about 160


def describe(app, pagename, templatename, context, doctree):
    """Describe a page to search engines by its first paragraph, unless it does so by ``myst: html_meta``."""
    if doctree is None or 'name="description"' in context.get("metatags", ""):
        return
    first = next((p for p in doctree.findall(nodes.paragraph) if isinstance(p.parent, nodes.section)), None)
    if first is None:
        return
    text = " ".join(first.astext().split())
    if len(text) > LENGTH:
        text = text[:LENGTH].rsplit(" ", 1)[0] + " ..."
    context["metatags"] = context.get("metatags", "") + f'<meta name="description" content="{html.escape(text)}" />\n'


def name_solutions(app, doctree):
    """A cell tagged ``hide-cell`` is an exercise's solution; its fold says so."""
    for cell in doctree.findall(nodes.container):
        if "tag_hide-cell" in cell["classes"]:
            cell["prompt_show"], cell["prompt_hide"] = "Show the solution", "Hide the solution"


def number_figures(app, doctree, docname):
    """Put its number, such as Figure 3.2, before the caption of each figure that cnnbook.figures.show made."""
    chapter = ".".join(map(str, app.env.toc_secnumbers.get(docname, {}).get("", ())))
    drawn = (node for node in doctree.findall(nodes.raw) if FIGURE in node.astext())
    for number, node in enumerate(drawn, 1):
        name = f"{chapter}.{number}".lstrip(".")
        text = node.astext().replace(FIGURE, f'{FIGURE[:-1]} id="figure-{number}">', 1)
        text = text.replace("<figcaption>", f'<figcaption><span class="caption-number">Figure {name}</span> ', 1)
        node.parent.replace(node, nodes.raw("", text, format="html"))


def refresh(app, env, added, changed, removed):
    """Write the first page anew in every build: Sphinx copies a changed style sheet only when it writes some page."""
    return [app.config.root_doc]


def renew_names(app, env):
    """Write all pages anew when a title, a label or the order changed: sidebars and links of other pages show them."""
    titles = {name: title.astext() for name, title in env.titles.items()}
    names = (titles, env.toctree_includes, env.toc_secnumbers, env.get_domain("std").labels)
    if names == getattr(env, "cnnbook_names", None):
        return []
    env.cnnbook_names = copy.deepcopy(names)
    return list(env.all_docs)


def setup(app):
    """Register the extension."""
    app.connect("env-get-outdated", refresh)
    app.connect("env-updated", renew_names)
    app.connect("doctree-read", name_solutions)
    app.connect("doctree-resolved", number_figures)
    app.connect("html-page-context", describe)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
