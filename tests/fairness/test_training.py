from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from scorch.fairness import CollapseWarning, DivergenceError, FairnessError, methods
from scorch.fairness.exemplars import Exemplars
from scorch.fairness.method import TrainingData
from scorch.fairness.networks import mlp
from scorch.fairness.training import Settings, train


def problem(n: int = 120) -> tuple[TrainingData, Exemplars]:
    torch.manual_seed(0)
    x = torch.randn(n, 3)
    y = (x[:, 0] + 0.3 * torch.randn(n) > 0.5).long()
    return TrainingData(x, y, 2), Exemplars(x[:20], y[:20])


def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(mlp(3, (8,), 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 2))


class Stop(Exception):
    pass


def stop_after(epochs: int) -> Any:
    def report(done: int, total: int, text: str) -> None:
        if done > epochs:
            raise Stop

    return report


@pytest.mark.parametrize("name", ["erm", "group_dro", "meta_weight_net", "forml"])
def test_an_interrupted_run_ends_in_the_same_numbers(name: str, tmp_path: Path) -> None:
    data, shown = problem()
    settings = Settings(epochs=4, batch_size=32, lr=0.01, exemplar_batch=6)
    options = {"weights": "persistent"} if name == "forml" else {}

    def run(path: Path | None, **extra: Any) -> nn.Module:
        method = methods.create(name, **options)
        return train(network(), data, method, settings, exemplars=shown, checkpoint=path, **extra)[0]

    whole = run(None)
    with pytest.raises(Stop):
        run(tmp_path / "state.pt", report=stop_after(2))
    resumed = run(tmp_path / "state.pt")
    for a, b in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    data, _ = problem()
    path = tmp_path / "state.pt"
    train(network(), data, methods.create("erm"), Settings(epochs=1), checkpoint=path)
    with pytest.raises(FairnessError, match="other data or settings"):
        train(network(), data, methods.create("erm"), Settings(epochs=2), checkpoint=path)
    path.write_bytes(b"no checkpoint")
    with pytest.raises(FairnessError, match="delete it to start anew"):
        train(network(), data, methods.create("erm"), Settings(epochs=1), checkpoint=path)


def test_the_seed_decides_and_the_callers_random_state_stays() -> None:
    data, shown = problem()
    torch.manual_seed(5)
    runs = [
        train(network(), data, methods.create("forml"), Settings(epochs=2, seed=seed), exemplars=shown)[0]
        for seed in (0, 0, 1)
    ]
    first, second, third = (model[0][0].weight for model in runs)
    assert torch.equal(first, second)
    assert not torch.equal(first, third)


def test_nan_in_the_data_stops_training() -> None:
    data, shown = problem()
    data.x[3, 0] = float("nan")
    for name in ("erm", "forml"):
        with pytest.raises(DivergenceError, match="lower the learning rate"):
            train(network(), data, methods.create(name), Settings(epochs=1), exemplars=shown)


def test_a_constant_predictor_is_noticed() -> None:
    data, _ = problem()
    model = nn.Linear(3, 2)
    with torch.no_grad():
        model.bias.copy_(torch.tensor([50.0, -50.0]))
    with pytest.warns(CollapseWarning, match=r"predicted to be of one class; lower the learning rate"):
        _, history = train(model, data, methods.create("erm"), Settings(epochs=2, lr=1e-6))
    assert history.collapsed


def test_weights_on_few_samples_are_noticed() -> None:
    torch.manual_seed(0)
    x = torch.randn(300, 2)
    y = (x[:, 0] > 0).long()
    shown = Exemplars(x[:1].repeat(2, 1), torch.tensor([0, 1]))

    class One(methods.METHODS["erm"]):  # type: ignore[name-defined,misc]
        def batch_weights(self, batch: Any) -> torch.Tensor:
            return torch.zeros(len(batch.y)).index_fill_(0, torch.tensor([0]), float(len(batch.y)))

    with pytest.warns(CollapseWarning, match="the weights use"):
        train(nn.Linear(2, 2), TrainingData(x, y, 2), One(), Settings(epochs=2, batch_size=100), exemplars=shown)


def test_a_method_without_its_exemplars_and_bad_settings() -> None:
    with pytest.raises(FairnessError, match="'forml' needs exemplars"):
        train(network(), problem()[0], methods.create("forml"))
    with pytest.raises(FairnessError, match="optimizer is adam or sgd"):
        Settings(optimizer="lbfgs")
    with pytest.raises(FairnessError, match="exemplar_batch"):
        Settings(exemplar_batch=0)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_progress_is_reported_each_epoch(optimizer: str) -> None:
    lines: list[str] = []
    train(
        network(),
        problem()[0],
        methods.create("erm"),
        Settings(epochs=3, optimizer=optimizer, decay="constant", clip=None),
        report=lambda done, total, text: lines.append(f"{done}/{total} {text}"),
    )
    assert [line.split()[0] for line in lines] == ["1/3", "2/3", "3/3"]
