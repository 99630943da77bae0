from typing import Any

import pytest
import torch
from torch import nn

from scorch.fairness import FairClassifier, FairnessError, methods
from scorch.fairness.exemplars import Exemplars, Sampler
from scorch.fairness.functional import forward_with, trainable
from scorch.fairness.groups import Attributes
from scorch.fairness.method import Batch, Run, TrainingData
from scorch.fairness.networks import mlp
from scorch.fairness.objectives import cross_entropy, group_means
from scorch.fairness.training import Settings, train


def trained(name: str, biased: Any, **options: Any) -> tuple[nn.Module, Any]:
    """A network and its recall of each group (label, attribute) on the test part."""
    (X, y, s), (Xe, ye, se), (Xt, yt, st) = biased
    attributes = Attributes.encode(s)
    shown = Exemplars(torch.tensor(Xe), torch.tensor(ye), Attributes.encode(se, like=attributes).codes)
    data = TrainingData(torch.tensor(X), torch.tensor(y), 2, attributes.codes)
    torch.manual_seed(0)
    settings = Settings(epochs=10, lr=0.01)
    model, history = train(mlp(4, (16,), 2), data, methods.create(name, **options), settings, exemplars=shown)
    hit = (model(torch.tensor(Xt)).argmax(dim=1).numpy() == yt).astype(float)
    recalls = [hit[(yt == label) & (st == group)].mean() for label in (0, 1) for group in "ab"]
    assert len(history.weights) == len(X)
    return model, recalls


def test_plain_training_neglects_the_small_group(biased: Any) -> None:
    assert min(trained("erm", biased)[1]) < 0.87


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("group_balanced", {}),
        ("group_dro", {"rate": 0.1}),
        ("exemplars", {}),
        ("dfr", {}),
        ("l2rw", {"lookahead": 1.0}),
        ("meta_gdro", {}),
        ("forml", {}),
        ("forml", {"backend": "fd", "objective": "mean+gap", "surrogate": "tpr"}),
        ("forml", {"weights": "online", "plain_epochs": 2}),
        ("forml", {"weights": "persistent"}),
    ],
)
def test_the_others_raise_its_recall(name: str, options: dict[str, Any], biased: Any) -> None:
    plain = min(trained("erm", biased)[1])
    assert min(trained(name, biased, **options)[1]) > plain + 0.01, name


@pytest.mark.parametrize("name", ["class_balanced", "meta_weight_net"])
def test_the_remaining_ones_learn(name: str, biased: Any) -> None:
    assert min(trained(name, biased)[1]) > 0.5


def test_exponentiated_gradient_mixes_networks(biased: Any) -> None:
    pytest.importorskip("fairlearn", reason="fairlearn is not installed (extra: fairness)")
    model, recalls = trained("exponentiated_gradient", biased, iterations=3)
    assert min(recalls) > 0.5
    assert float(model(torch.zeros(1, 4)).exp().sum()) == pytest.approx(1, abs=1e-5)


def test_exponentiated_gradient_is_for_two_classes(biased: Any) -> None:
    data = TrainingData(torch.zeros(3, 2), torch.tensor([0, 1, 2]), 3, torch.zeros(3, 1).long())
    pytest.importorskip("fairlearn")
    with pytest.raises(FairnessError, match="two classes"):
        train(mlp(2, (), 3), data, methods.create("exponentiated_gradient"))


def test_the_weighting_network_gets_the_unrolled_gradient() -> None:
    torch.manual_seed(0)
    model = nn.Linear(3, 2).double()
    x, y = torch.randn(10, 3, dtype=torch.float64), torch.arange(10) % 2
    shown = Exemplars(torch.randn(6, 3, dtype=torch.float64), torch.arange(6) % 2).grouped("label")
    method = methods.create("meta_weight_net", lookahead=0.5)
    sampler = Sampler(shown, None, torch.Generator())
    method.begin(Run(model, TrainingData(x, y, 2), shown, sampler, grouping="label"))
    before = [p.detach().clone() for p in method.net.parameters()]
    params = trainable(model)
    live = {name: p.clone().requires_grad_() for name, p in params.items()}
    losses = cross_entropy(forward_with(model, live, x), y)
    weights = method.net(losses.detach().float()[:, None]).ravel()
    share = (weights / weights.sum()).double()
    slopes = torch.autograd.grad((share * losses).sum(), list(live.values()), create_graph=True)
    ahead = {name: p - 0.5 * g for (name, p), g in zip(live.items(), slopes, strict=True)}
    value = group_means(cross_entropy(forward_with(model, ahead, shown.x), shown.y), shown.ids).mean()
    expected = torch.autograd.grad(value, list(method.net.parameters()))
    method.step(Batch(x, y, torch.arange(10), 0))
    for p, old, slope in zip(method.net.parameters(), before, expected, strict=True):
        assert torch.allclose(p.grad, slope, rtol=1e-4, atol=1e-9)
        assert not torch.equal(p.detach(), old) or not bool(slope.any())


def test_dfr_changes_the_last_layer_only(biased: Any) -> None:
    plain, refit = trained("erm", biased)[0], trained("dfr", biased)[0]
    assert torch.equal(plain[0].weight, refit[0].weight)
    assert not torch.equal(plain[2].weight, refit[2].weight)


def test_unknown_methods_and_options_are_named() -> None:
    with pytest.raises(FairnessError, match="no method 'sgd'; there are erm, class_balanced"):
        methods.create("sgd")
    with pytest.raises(FairnessError, match="no option 'rat'; it has rate"):
        methods.create("group_dro", rat=1)
    with pytest.raises(FairnessError, match="share is between 0 and 1"):
        methods.create("exemplars", share=2).begin(None)  # type: ignore[arg-type]


def test_all_methods_of_the_interface_are_there() -> None:
    names = "erm class_balanced group_balanced group_dro exemplars dfr l2rw meta_gdro meta_weight_net forml"
    assert set(methods.METHODS) == {*names.split(), "exponentiated_gradient"}


@pytest.mark.parametrize("name", ["l2rw", "meta_weight_net"])
def test_the_published_baselines_do_not_look_at_groups(name: str, biased: Any) -> None:
    (X, y, _), (Xv, yv, sv), _ = biased
    with_groups, without = (
        FairClassifier((4,), method=name, epochs=1).fit(X, y, exemplars=shown) for shown in ((Xv, yv, sv), (Xv, yv))
    )
    assert (with_groups.predict_proba(X) == without.predict_proba(X)).all()


def test_a_prior_is_where_persistent_weights_start() -> None:
    y = torch.tensor([0] * 30 + [1] * 10)
    data = TrainingData(torch.randn(40, 3, generator=torch.Generator().manual_seed(0)), y, 2)
    shown = Exemplars(data.x[25:35], y[25:35])
    method = methods.create("forml", weights="persistent", prior="class_balanced", strength=0.0)
    train(nn.Linear(3, 2), data, method, Settings(epochs=1), exemplars=shown)
    assert torch.allclose(method.sample_weights, torch.where(y == 0, 2 / 3, 2.0))
    for options, message in (({"prior": "x"}, "no prior 'x'"), ({"prior": "class_balanced"}, "other rules keep")):
        with pytest.raises(FairnessError, match=message):
            train(nn.Linear(3, 2), data, methods.create("forml", **options), Settings(epochs=1), exemplars=shown)
