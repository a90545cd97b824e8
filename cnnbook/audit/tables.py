"""How counts are shown: as a rich table in a terminal, an accessible HTML table in a notebook, a pandas DataFrame."""

import dataclasses
import html
import re

import pandas as pd


class Table:
    """What is shown as a rich table in a terminal and as an accessible HTML table in a notebook.

    Its method ``_parts`` gives a caption, the columns, rows of texts, the first of which is the row's header, a footer
    (a row or None) and notes.
    """

    def _repr_html_(self):
        caption, columns, rows, footer, notes = self._parts()
        escape, right = html.escape, ' style="text-align:right;white-space:nowrap"'
        align = [right if numeric else ' style="text-align:left"' for numeric in _numeric(rows)]
        line = lambda cells: (
            f'<tr><th scope="row" style="text-align:left">{escape(cells[0])}</th>'
            + "".join(f"<td{a}>{escape(c)}</td>" for a, c in zip(align[1:], cells[1:], strict=True))
            + "</tr>"
        )
        head = "".join(f'<th scope="col"{a}>{escape(c)}</th>' for a, c in zip(align, columns, strict=True))
        parts = [f'<table style="font-size:.8rem"><caption>{escape(caption)}</caption>']
        parts += [f"<thead><tr>{head}</tr></thead>", "<tbody>"]
        parts += [*map(line, rows), "</tbody>"]
        parts += [f"<tfoot>{line(footer)}</tfoot>"] if footer else []
        table = "\n".join([*parts, "</table>"])
        label = f'role="region" tabindex="0" aria-label="{escape(caption)}"'  # so that a keyboard can scroll it
        below = "".join(f"\n<p>{escape(note)}</p>" for note in notes)
        return f'<div class="cnnbook-table" style="overflow-x:auto" {label}>\n{table}\n</div>{below}'

    def print_table(self, console=None):
        """Print the table in the terminal, with rich."""
        import rich.console
        import rich.table

        console = rich.console.Console() if console is None else console
        caption, columns, rows, footer, notes = self._parts()
        table = rich.table.Table(title=caption, title_justify="left", show_footer=footer is not None)
        for column, total, numeric in zip(columns, footer or [""] * len(columns), _numeric(rows), strict=True):
            # Names are folded first, so that numbers stay whole; in a narrow terminal all are folded, and none is cut.
            style = {"justify": "right", "no_wrap": console.width >= 110} if numeric else {}
            table.add_column(column, total, overflow="fold", **style)
        for row in rows:
            table.add_row(*row)
        console.print(table)
        for note in notes:
            console.print(note)


def _numeric(rows):
    """For each column whether it holds numbers alone."""
    return [all(re.fullmatch(r"[\d,.× –]*", text) for text in column) for column in zip(*rows, strict=True)]


def frame(layers):
    """One row a layer, as a DataFrame; what is not known is missing."""
    rows = pd.DataFrame([dataclasses.asdict(layer) for layer in layers])
    return rows.astype({"macs": "Int64", "memory": "Int64"}).set_index("name")


def parts(audit):
    """The parts of an audit's table; see :class:`Table`."""
    columns = ["Layer", "Kind", "Output", "Parameters", "Trainable", "MACs", "Memory", "Sees", "Stride"]
    rows = [
        [
            layer.name, layer.kind, _times(layer.shape), f"{layer.parameters:,}", f"{layer.trainable:,}",
            "not counted" if layer.macs is None else f"{layer.macs:,}",
            "not known" if layer.memory is None else f"{layer.memory:,}",
            "not known" if layer.field is None else _times(layer.field), _times(layer.stride or ("–",)),
        ]
        for layer in audit.layers
    ]  # fmt: skip
    totals = [f"{n:,}" for n in (audit.parameters, audit.trainable, audit.macs, audit.memory)]
    caption = f"{audit.name}: MACs are multiply-accumulates and memory is bytes, for one sample"
    return caption, columns, rows, ["Total", "", "", *totals, "", ""], audit.notes


def _times(numbers):
    return "×".join("?" if n is None else str(n) for n in numbers)
