from __future__ import annotations

import copy
import io
import sys

import pytest
import torch
from torch import nn
from torch.nn.utils import prune as torch_prune

from scorch.errors import NotationError
from scorch.nn import Conv2d, Linear, convert, prune
from scorch.nn.conversion.predict import measured


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))


X = torch.randn(16, 64)


def test_logits_equal_the_pruned_model() -> None:
    pruned = network()
    prune.magnitude(pruned, 0.95)
    sparse = convert(pruned, example_inputs=X, measure=False)
    assert isinstance(sparse[0], Linear)  # type: ignore[index]
    with torch.no_grad():
        torch.testing.assert_close(sparse(X), pruned(X), atol=1e-5, rtol=1e-5)
    assert isinstance(pruned[0], nn.Linear)  # the original stays


def test_prunes_first_when_asked() -> None:
    model = network()
    sparse = convert(model, 0.95, "wanda", X, measure=False)
    report = sparse.conversion["0"]  # type: ignore[operator,index]
    assert report.sparsity == pytest.approx(0.95, abs=0.01)
    assert report.predicted[0] > report.predicted[1]
    assert prune.sparsity(model) == 0


def test_masks_of_torch_are_understood() -> None:
    model = network()
    torch_prune.l1_unstructured(model[0], "weight", amount=0.95)
    model(X).sum().backward()
    sparse = convert(model, example_inputs=X, measure=False)
    assert sparse.conversion.converted == ("0",)  # type: ignore[union-attr]
    with torch.no_grad():
        torch.testing.assert_close(sparse(X), model(X), atol=1e-5, rtol=1e-5)


def test_what_does_not_pay_stays_dense_and_is_reported() -> None:
    sparse = convert(network(), 0.1, example_inputs=X, measure=False)
    assert isinstance(sparse[0], nn.Linear)  # type: ignore[index]
    assert "predicted gain 0." in sparse.conversion["0"].reason  # type: ignore[operator,index]


def test_the_clock_has_the_last_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["scorch.nn.conversion.convert"], "measured", lambda *args: (1.0, 4.0))
    report = convert(network(), 0.95, example_inputs=X).conversion["0"]  # type: ignore[operator,index]
    assert not report.converted
    assert "but measured 0.25" in report.reason
    monkeypatch.setattr(sys.modules["scorch.nn.conversion.convert"], "measured", lambda *args: (4.0, 1.0))
    assert convert(network(), 0.95, example_inputs=X).conversion["0"].converted  # type: ignore[operator,index]


def test_the_clock_decides_unless_the_prediction_is_hopeless(monkeypatch: pytest.MonkeyPatch) -> None:
    module, model = sys.modules["scorch.nn.conversion.convert"], torch.nn.Linear(64, 32)
    monkeypatch.setattr(module, "measured", lambda *args: (4.0, 1.0))
    for predicted, converted in (((1.0, 2.0), True), ((1.0, 9.0), False)):
        monkeypatch.setattr(module, "predicted", lambda *args, times=predicted: times)
        (report,) = convert(model, 0.9, example_inputs=torch.randn(8, 64)).conversion.layers  # type: ignore[union-attr,operator]
        assert report.converted is converted
        assert (report.measured is not None) is converted
    monkeypatch.setattr(module, "predicted", lambda *args: (1.0, 2.0))
    (report,) = convert(model, 0.9, example_inputs=torch.randn(8, 64), measure=False).conversion.layers  # type: ignore[union-attr,operator]
    assert not report.converted


def test_measured_calls_both() -> None:
    calls = {"a": 0, "b": 0}

    def layer(name: str) -> nn.Module:
        module = nn.Identity()
        module.register_forward_pre_hook(lambda *_: calls.__setitem__(name, calls[name] + 1))
        return module

    dense, sparse = measured(layer("a"), layer("b"), (X,))
    assert min(dense, sparse) > 0
    assert min(calls.values()) > 7


class Odd(nn.Module):
    """Layers that cannot be converted, each for its own reason."""

    def __init__(self) -> None:
        super().__init__()
        self.tied = nn.Linear(64, 64)
        self.twin = nn.Linear(64, 64)
        self.twin.weight = self.tied.weight
        self.unused = nn.Linear(64, 64)
        self.hooked = nn.Linear(64, 64)
        self.hooked.register_forward_hook(lambda *_: None)
        self.line = nn.Conv1d(1, 1, 3)
        self.mirror = nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.hooked(self.twin(self.tied(x)))
        return self.line(x[:, None]).sum() + self.mirror(x[None, None]).sum()


def test_what_cannot_be_converted_says_why() -> None:
    conversion = convert(Odd(), 0.95, example_inputs=X, measure=False).conversion
    reasons = {layer.name: layer.reason for layer in conversion.layers}  # type: ignore[union-attr]
    assert reasons == {
        "tied": "its weight is shared with another layer",
        "twin": "its weight is shared with another layer",
        "unused": "the example inputs do not reach it as a layer",
        "hooked": "it has hooks, which a new layer would not have",
        "line": "a Conv1d has no sparse counterpart",
        "mirror": "a sparse convolution pads with zeros, not by 'reflect'",
    }
    assert "shared with another layer" in str(conversion)


def test_convolutions_and_a_single_layer() -> None:
    conv = nn.Conv2d(16, 32, 1)
    x = torch.randn(2, 16, 8, 8)
    sparse = convert(conv, 0.95, example_inputs=x, measure=False)
    assert isinstance(sparse, Conv2d)
    assert sparse.conversion.converted == ("",)  # type: ignore[union-attr]


def test_transformer_layers_run_in_eval_mode() -> None:
    torch.manual_seed(0)
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(32, 2, 128, batch_first=True), 2).eval()
    prune.magnitude(encoder, 0.95, layers=[f"layers.{n}.linear{m}" for n in (0, 1) for m in (1, 2)])
    prune.remove(encoder)
    x = torch.randn(2, 8, 32)
    sparse = convert(encoder, example_inputs=x, measure=False)
    assert len(sparse.conversion.converted) == 4  # type: ignore[arg-type,union-attr]
    with torch.no_grad():
        torch.testing.assert_close(sparse(x), encoder(x), atol=1e-4, rtol=1e-4)


def test_converted_models_can_be_copied_and_saved() -> None:
    sparse = convert(network(), 0.95, example_inputs=X, measure=False)
    file = io.BytesIO()
    torch.save(sparse.state_dict(), file)
    other = convert(network(), 0.9, example_inputs=X, measure=False)
    other.load_state_dict(torch.load(io.BytesIO(file.getvalue())))
    with torch.no_grad():
        torch.testing.assert_close(other(X), sparse(X))
        torch.testing.assert_close(copy.deepcopy(sparse)(X), sparse(X))


def test_mistakes() -> None:
    with pytest.raises(NotationError, match="pass example_inputs="):
        convert(network(), 0.9)
    with pytest.raises(NotationError, match="there is no method 'movement' without training"):
        convert(network(), 0.9, "movement", X)
