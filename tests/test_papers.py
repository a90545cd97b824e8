"""Our networks beside the papers' own numbers."""

from cnnbook import models
from cnnbook.audit import audit, compare, papers

from io import StringIO

import pytest
import rich.console
from networks import assert_published


@pytest.mark.parametrize("name", ["lenet1989", "lenet5", "lenet5_dense"])
def test_every_published_figure_is_reached(name):
    beside = compare(name)
    assert beside.agrees, beside.frame
    assert_published(name, audit(models.NETWORKS[name]()))
    assert papers.published()[name]["source"] in repr(beside)
    console = rich.console.Console(file=StringIO(), width=200)
    beside.print_table(console)
    assert "the same" in console.file.getvalue() and "<caption>" in beside._repr_html_()


def test_what_differs_from_the_paper_says_why():
    beside = compare("googlenet")
    assert not beside.agrees and repr(beside).startswith("googlenet: 15 of 27 figures as published")
    why = beside.frame.set_index(["part", "quantity"])["why"]
    assert why["3a", "trainable"] == "the same, to 1,024"
    assert why["4c", "macs"] == "the same, to 1,000,000"
    assert why["conv1", "macs"].startswith("+84,013,952; 2,712 x 112 x 112 are a separable convolution's")
    for name, entry in papers.published().items():
        for figure in entry["figures"]:
            assert "why" in figure or not figure.get("differs"), (name, figure)


def test_every_network_of_the_tables_exists():
    assert set(papers.published()) == set(models.NETWORKS)


def test_every_network_has_an_exact_count_with_its_source():
    """A rounded figure would let a wrong layer pass; what is not the published number says why."""
    for name, entry in papers.published().items():
        totals = [figure for figure in entry["figures"] if figure["part"] == "all" and "to" not in figure]
        assert any(figure["quantity"] in ("trainable", "parameters") for figure in totals), name


def test_the_papers_totals_are_there():
    totals = lambda name: {r.quantity: r.paper for r in compare(name).frame.itertuples() if r.part == "all"}
    assert totals("lenet1989") == {"connections": 64660, "parameters": 9760}
    assert totals("lenet5") == {"connections": 340908, "trainable": 60000}
    assert totals("lenet5_dense") == {"trainable": 61706}


def test_a_network_that_is_not_the_papers_is_told_so(monkeypatch):
    monkeypatch.setitem(models.NETWORKS, "lenet5", models.lenet5_dense)
    beside = compare("lenet5")
    assert not beside.agrees
    told = beside.frame.set_index(["part", "quantity"])["why"]
    assert told["C3", "trainable"].startswith("+900;") and told["S2", "trainable"].startswith("-12;")


def test_an_unknown_network_lists_the_known():
    with pytest.raises(ValueError, match=r"name must be one of lenet1989, lenet5, lenet5_dense, .*, got 'lenet6'"):
        compare("lenet6")
    with pytest.raises(ValueError, match=r"name must be one of lenet1989, .*, got 'lenet6'"):
        papers.beside("lenet6", audit(models.lenet5()))
