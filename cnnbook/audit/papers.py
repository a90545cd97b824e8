"""Our counts beside the papers' own numbers, which published.yml holds."""

from cnnbook.audit.tables import Table

import dataclasses
import functools
import math
from importlib import resources

import pandas as pd
import yaml


@dataclasses.dataclass(frozen=True, repr=False)
class Comparison(Table):
    """Our counts beside the paper's: ``frame`` has part, quantity, paper, ours, same and why.

    A rounded figure is the same when ours is less than a unit of its last digit away: papers round, and cut.
    """

    name: str
    source: str
    frame: pd.DataFrame

    @property
    def agrees(self):
        """True when every figure is the paper's."""
        return bool(self.frame["same"].all())

    def __repr__(self):
        return f"{self.name}: {self.frame['same'].sum()} of {len(self.frame)} figures as published ({self.source})"

    def _parts(self):
        rows = [[r.part, r.quantity, f"{r.paper:,}", f"{r.ours:,}", r.why] for r in self.frame.itertuples()]
        columns = ["Part", "Quantity", "Published", "Ours", "How they compare"]
        return f"{self.name} beside {self.source}", columns, rows, None, []


@functools.cache
def published():
    """The papers' own numbers, from published.yml, which says how it is laid out."""
    return yaml.safe_load(resources.files("cnnbook.audit").joinpath("published.yml").read_text(encoding="utf-8"))


def compare(name):
    """Set our network beside the paper's own numbers.

    >>> compare("lenet5").agrees
    True

    Raises:
        ValueError: ``name`` is not among the networks of published.yml.
    """
    from cnnbook import audit, models  # the networks are loaded only when one is built

    _published(name)
    return beside(name, audit.audit(models.NETWORKS[name]()))


def beside(name, audited):
    """The published figures of the network ``name`` beside an audit of it, where there is one already.

    Raises:
        ValueError: ``name`` is not among the networks of published.yml.
    """
    entry, rows = _published(name), []
    for figure in entry["figures"]:
        quantity, sums = figure["quantity"], _sums(audited, figure.get("layers"))
        if figure.get("sum"):
            ours = sum(row["ours"] for row in rows if row["quantity"] == quantity)
        else:
            ours = sum(times * sums[what] for what, times in figure.get("count", {quantity: 1}).items())
        unit, off = figure.get("to", 1), ours - figure["value"]
        same = abs(off) < unit
        how = (f"the same, to {unit:,}" if unit > 1 else "the same") if same else f"{off:+,}"
        notes = [how, figure.get("why", "").format(**sums), figure.get("source", "")]
        rows.append({"part": figure["part"], "quantity": quantity, "paper": figure["value"], "ours": ours,
                     "same": same, "why": "; ".join(filter(None, notes))})  # fmt: skip
    return Comparison(name, entry["source"], pd.DataFrame(rows))


def _published(name):
    if not isinstance(name, str) or name not in published():
        raise ValueError(f"name must be one of {', '.join(published())}, got {name!r}")
    return published()[name]


def _sums(audited, names):
    """What the named layers (None: all) hold and do in all; units are those of the last."""
    chosen = [layer for layer in audited.layers if names is None or layer.name in names]
    sums = {what: sum(getattr(x, what) or 0 for x in chosen) for what in ("parameters", "trainable", "macs")}
    return sums | {"units": math.prod(chosen[-1].shape)}
