from __future__ import annotations

import copy

import pytest
import scipy.sparse
import torch
from torch.nn import functional as F

import scorch
from scorch.errors import ShapeError
from scorch.nn import SparseAttention, functional
from scorch.nn.attention import Block, Causal, Full, Global, Mask, Window
from scorch.nn.functional import attention

N = 9


def expected(mask: Mask, length: int) -> torch.Tensor:
    """Each mask by its definition, pair by pair."""
    rule = {
        Window: lambda i, j: abs(i - j) <= mask.radius,  # type: ignore[attr-defined]
        Block: lambda i, j: abs(i // mask.size - j // mask.size) <= mask.neighbours,  # type: ignore[attr-defined]
        Global: lambda i, j: min(i, j) < mask.count,  # type: ignore[attr-defined]
        Full: lambda i, j: True,
        Causal: lambda i, j: j <= i and bool(expected(mask.of, length)[i, j]),  # type: ignore[attr-defined]
    }[type(mask)]
    return torch.tensor([[float(rule(i, j)) for j in range(length)] for i in range(length)])


@pytest.mark.parametrize(
    "mask", [Window(0), Window(2), Window(20), Block(2), Block(4, 0), Global(0), Global(3), Full(), Causal(Window(2))]
)
@pytest.mark.parametrize("length", [1, N])
def test_masks_are_what_they_say(mask: Mask, length: int) -> None:
    torch.testing.assert_close(mask(length).to_dense(), expected(mask, length))


def test_random_blocks_are_seeded_and_added() -> None:
    a, b = (Block(2, random=1, seed=seed)(40).to_dense() for seed in (0, 1))
    assert bool((a >= Block(2)(40).to_dense()).all())
    assert not a.equal(b)
    assert a.equal(Block(2, random=1)(40).to_dense())


def test_the_mask_of_a_length_is_one_object() -> None:
    assert (Window(2) | Global(1))(N) is (Window(2) | Global(1))(N)


@pytest.mark.parametrize("mask", [Window(2), Block(4) | Global(2), Causal(Full())])
@pytest.mark.parametrize("lead", [(), (2,), (2, 3)])
def test_equals_torch(mask: Mask, lead: tuple[int, ...]) -> None:
    q, k = torch.randn(2, *lead, N, 4)
    v = torch.randn(*lead, N, 5)
    dense = F.scaled_dot_product_attention(q, k, v, attn_mask=mask(N).to_dense().bool())
    torch.testing.assert_close(attention(q, k, v, mask(N)), dense)


def test_queries_and_keys_of_different_numbers_and_large_scores() -> None:
    q, k, v = torch.randn(3, 4) * 100, torch.randn(5, 4), torch.randn(5, 2)
    mask = (torch.rand(3, 5) < 0.7) | torch.eye(3, 5).bool()
    ours = attention(q, k, v, scorch.tensor(mask.float(), "csr"), scale=1.0)
    torch.testing.assert_close(ours, F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=1.0))


def test_a_query_without_keys_gets_zeros() -> None:
    x = torch.randn(2, 3)
    assert attention(x, x, x, scorch.tensor([[0.0, 0.0], [1.0, 0.0]], "csr"))[0].tolist() == [0, 0, 0]


@pytest.mark.parametrize("make", [scipy.sparse.csr_array, lambda m: m.bool(), lambda m: m.to_sparse_csr()])
def test_layer_with_any_matrix_as_mask(make: object) -> None:
    mask = (Window(1) | Global(1))(N)
    matrix = make(mask.to_dense())  # type: ignore[operator]
    layer = SparseAttention(8, 2, matrix, causal=True)
    other = copy.deepcopy(layer)
    other.mask = Causal(Window(1) | Global(1))
    x = torch.randn(2, N, 8)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), other(x))
    with pytest.raises(ShapeError, match=r"the mask is \(9, 9\), the sequence has 4 positions"):
        layer(x[:, :4])


def test_layer_equals_torch_multi_head_attention() -> None:
    layer, dense = SparseAttention(8, 2, Window(2)), torch.nn.MultiheadAttention(8, 2, batch_first=True)
    state = {"in_proj_weight": layer.qkv.weight, "in_proj_bias": layer.qkv.bias}
    dense.load_state_dict(state | {f"out_proj.{name}": value for name, value in layer.out.state_dict().items()})
    x = torch.randn(2, N, 8)
    with torch.no_grad():
        theirs, _ = dense(x, x, x, attn_mask=~Window(2)(N).to_dense().bool())
        torch.testing.assert_close(layer(x), theirs)


def test_shapes_that_do_not_fit() -> None:
    q, k = torch.ones(3, 4), torch.ones(5, 4)
    with pytest.raises(ShapeError, match="do not fit together"):
        attention(q, k, torch.ones(6, 4), Window(1)(3))
    with pytest.raises(ShapeError, match="there are 3 queries and 5 keys"):
        attention(q, k, k, Window(1)(3))
    with pytest.raises(ShapeError, match="cannot be divided among 3 heads"):
        SparseAttention(8, 3, Window(1))


# --- causal attention, and key heads that queries share ---------------------------------------------------------------


@pytest.mark.parametrize("heads", [(4, 4), (4, 2), (6, 1)])
@pytest.mark.parametrize("tokens", [1, 15, 16, 33])
def test_causal_attention_equals_torch(tokens: int, heads: tuple[int, int]) -> None:
    q, k, v = (torch.randn(2, count, tokens, 8) for count in (heads[0], heads[1], heads[1]))
    expected = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
    for given in (True, heads[0] != heads[1]):
        found = functional.causal_attention(q, k, v, enable_gqa=given)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    q.requires_grad_()
    functional.causal_attention(q, k, v, enable_gqa=True).sum().backward()
    assert q.grad is not None


def test_causal_attention_of_any_layout_and_of_halves() -> None:
    x = torch.randn(3, 20, 4, 8)
    q, k, v = (x[n : n + 1].transpose(1, 2) for n in range(3))
    expected = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    torch.testing.assert_close(functional.causal_attention(q, k, v), expected, rtol=1e-4, atol=1e-5)
    halves = functional.causal_attention(q.bfloat16(), k.bfloat16(), v.bfloat16())
    assert halves.dtype == torch.bfloat16
    torch.testing.assert_close(halves.float(), expected, rtol=0.1, atol=0.05)


@pytest.mark.parametrize("dropout", [0.0, 1e-9])
@pytest.mark.parametrize("lead", [(), (2,), (2, 3)])
def test_shared_key_heads_over_a_mask(lead: tuple[int, ...], dropout: float) -> None:
    mask = Window(2)(9)
    q, k, v = torch.randn(*lead, 6, 9, 4), torch.randn(*lead, 2, 9, 4), torch.randn(*lead, 2, 9, 5)
    found = functional.attention(q, k, v, mask, dropout=dropout, enable_gqa=True)
    expected = F.scaled_dot_product_attention(q, k, v, mask.to_dense().bool(), enable_gqa=True)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_heads_and_tokens_that_do_not_fit() -> None:
    q = torch.randn(4, 20, 8)
    with pytest.raises(ShapeError, match="as many query heads as key heads or a multiple"):
        functional.causal_attention(q, q[:3], q[:3], enable_gqa=True)
    with pytest.raises(ShapeError, match="do not fit together"):
        functional.causal_attention(q, q[:2], q[:2])
    with pytest.raises(ShapeError, match="20 queries, 10 keys"):
        functional.causal_attention(q, q[:, :10], q[:, :10])


def test_explain_says_where_planning_stopped() -> None:
    q = torch.randn(2, 40, 8)
    told = str(scorch.explain(functional.ATTENTION, M=Window(8)(40), Q=q, K=q, V=q, scale=0.5))
    line = next(line for line in told.splitlines() if "a kernel for each of" in line)
    assert line.endswith("(at least)")
