"""What explain says: every part of the plan is on the page, in text and in HTML."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest
import scipy.sparse
import torch

import scorch
from scorch.ir.plan import Handover
from scorch.schedule import path


@pytest.fixture(autouse=True)
def plain_python():
    with scorch.config.using(jit=False):
        yield


@pytest.fixture
def matrix():
    rng = np.random.default_rng(0)
    return scorch.tensor(scipy.sparse.random_array((200, 100), density=0.1, format="csr", dtype=np.float32, rng=rng))


@pytest.fixture
def spmm(matrix):
    return scorch.explain("ik,kj->ij", matrix, torch.ones(100, 32))


def sections(text):
    """Title -> lines of an explanation; the statement stands under ''."""
    found = {"": text.split("\n\n")[0].splitlines()}
    title = ""
    for line in text.splitlines()[1:]:
        if line and not line.startswith(" "):
            title = line
            found[title] = []
        elif line:
            found[title].append(line.strip())
    return found


@pytest.mark.smoke
def test_every_part_is_there(spmm):
    parts = sections(str(spmm))
    assert parts[""] == ["C[i,j] += A[i,k] * B[k,j]"]
    assert [re.split(" {2,}", line)[:4] for line in parts["tensors"]] == [
        ["A", "csr", "float32", "200 x 100"],
        ["B", "dense", "float32", "100 x 32"],
        ["C", "dense", "float32", "200 x 32"],
    ]
    assert "2,000 stored (10 %); a row: mean 10, most " in parts["tensors"][0]
    assert "for i" in parts["plan"]
    assert parts["because"]
    assert parts["source"] == [str(spmm.path)]
    assert spmm.path.read_text() == spmm.source


def test_alternatives_are_aligned_and_the_chosen_one_is_marked(spmm):
    (title,) = (title for title in sections(str(spmm)) if title.startswith("alternatives"))
    lines = str(spmm).split(f"{title}\n")[1].split("\n\n")[0].splitlines()
    assert len(lines) == len(spmm.plan.alternatives) > 1
    assert [line.strip().startswith("->") for line in lines] == [True] + [False] * (len(lines) - 1)
    assert len({line.index(" x  ") for line in lines}) == 1
    ratios = [float(re.search(r"([\d,.]+) x  ", line)[1].replace(",", "")) for line in lines]
    assert ratios[0] == 1.0
    assert ratios[1:] == sorted(ratios[1:])


def test_statistics_are_said_once(spmm):
    assert not any("nnz" in line for line in sections(str(spmm))["because"])


def test_a_conversion_is_told(matrix):
    said = str(scorch.explain("ij,ij->ij", matrix, matrix.to("csc")))
    assert re.search(r"convert [AB] to cs[rc], once a pattern", said)


def test_a_scalar_and_an_empty_tensor():
    said = sections(str(scorch.explain("i,i->", scorch.from_coo([[]], torch.zeros(0), (0,)), torch.zeros(0))))
    assert said["tensors"][0].endswith("0 stored")
    assert re.split(" {2,}", said["tensors"][-1]) == ["C", "scalar", "float32", "()", "the result"]


def test_a_chain_is_told_in_the_names_of_the_whole(matrix):
    explained = scorch.explain("ij,jk,kl->il", matrix, matrix.T, torch.ones(200, 4))
    said = sections(str(explained))
    assert said["plan"] == [
        "first E[j,l] += B[j,k] * C[k,l]",
        "then  D[i,l] += E[j,l] * A[i,j], planned when E is there",
    ]
    assert said["source"] == ["each step has a kernel of its own"]
    assert explained.path is None


def test_what_torch_computes_is_told(monkeypatch):
    monkeypatch.setattr(path, "TORCH_SHARE", 1e9)  # whatever machine this is, torch is faster
    explained = scorch.explain("ij,jk->ik", torch.ones(397, 400), torch.ones(400, 403))
    assert isinstance(explained.plan, Handover)
    assert sections(str(explained))["plan"][0].startswith("torch.einsum(")


class Balance(HTMLParser):
    """Notes tags that are not closed in order."""

    def __init__(self):
        super().__init__()
        self.open, self.wrong = [], []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


def test_html_has_the_same_and_is_well_formed(spmm):
    page = spmm._repr_html_()
    balance = Balance()
    balance.feed(page)
    assert (balance.open, balance.wrong) == ([], [])
    for text in ("C[i,j] += A[i,k] * B[k,j]", "200 x 100", "Alternatives", str(spmm.path)):
        assert text in page
    assert page.count("<tr>") == 2 + len(spmm.tensors) + len(spmm.plan.alternatives)


def test_html_is_escaped(matrix):
    page = scorch.explain("ijk->", torch.ones(2, 2, 2).to_sparse())._repr_html_()
    assert "&gt;" in page
    assert "levels 2 > " not in page


def test_what_a_sparse_result_stores_is_estimated_and_then_known(matrix):
    other = matrix.T.to("csr")
    before = scorch.explain("ik,kj->ij", matrix, other)
    assert before.expected > 0
    assert before.stored is None
    assert re.search(r"the result: about [\d,]+ \([\d.e+]+ %\) expected$", before.tensors[-1][-1])
    made = scorch.einsum("ik,kj->ij", matrix, other)
    after = scorch.explain("ik,kj->ij", matrix, other)
    assert after.stored == made.nnz
    assert before.expected == pytest.approx(made.nnz, rel=0.2)
    assert f"expected, {made.nnz:,} (" in str(after)


def test_a_shared_pattern_is_known_beforehand(matrix):
    for text in ("C[i,j] = A[i,j] * x[j]", "C[i,j] = A[i,j] * A[i,j]"):
        read = {"A": matrix, "x": torch.ones(100)} if "x" in text else {"A": matrix}
        explained = scorch.explain(text, **read)
        assert explained.expected == explained.stored == 2000


def test_of_a_dense_result_nothing_is_counted(spmm):
    assert spmm.expected is spmm.stored is None
    assert spmm.tensors[-1][-1] == "the result"


def test_what_is_planned_later_is_counted_once_it_ran():
    rng = np.random.default_rng(1)
    chain = [scorch.tensor(scipy.sparse.random_array((60, 60), density=0.05, format="csr", rng=rng)) for _ in range(3)]
    made = scorch.einsum("ij,jk,kl->il", *chain)
    assert scorch.explain("ij,jk,kl->il", *chain).stored == made.nnz
