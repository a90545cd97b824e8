"""Sphinx extension: the bibliography style ``author_year``, whose list names a work as the text cites it."""

from collections import Counter
from string import ascii_lowercase

from pybtex.plugin import register_plugin
from pybtex.style.formatting.plain import Style
from pybtex.style.labels import BaseLabelStyle


def label(entry):
    """Author and year of an entry: LeCun et al., 1998."""
    persons = entry.persons.get("author") or entry.persons.get("editor") or []
    names = [" ".join(map(str, person.rich_prelast_names + person.rich_last_names)) for person in persons]
    who = f"{names[0]} et al." if len(names) > 2 or "others" in names else " and ".join(names)
    return f"{who or entry.key}, {entry.fields.get('year', 'no year')}"


class AuthorYearLabels(BaseLabelStyle):
    """The labels; pybtex asks for them in the order of the list."""

    def format_labels(self, sorted_entries):
        """One label an entry; works of one author and year get a letter, in the order of the list."""
        labels, seen = [*map(label, sorted_entries)], Counter()
        for one in labels:
            letter = ascii_lowercase[seen[one]] if labels.count(one) > 1 else ""
            seen[one] += 1
            yield one + letter


class AuthorYear(Style):
    """pybtex's plain style, sorted by author and year, with these labels."""

    default_label_style = AuthorYearLabels


def setup(app):
    """Register the style under the name that _config.yml gives."""
    register_plugin("pybtex.style.formatting", "author_year", AuthorYear)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
