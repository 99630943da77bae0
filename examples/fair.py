"""See what FORML learns: weights that find wrong labels, a smaller training set, recall by group.

python examples/fair.py                        scikit-learn's digits, 40 % of the training labels wrong
python examples/fair.py --out weights.png      the same with a picture
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import options

from scorch.fairness import FairClassifier, condense, plot_group_recall, plot_weights, report

WRONG = 0.4  # share of the training labels that are replaced by random ones
SHARES = (0.1, 0.25, 0.5)
PERSISTENT = {"weights": "persistent", "strength": 0.3, "objective": "smooth", "temperature": 1.0}


def main() -> None:
    """Train plainly and with FORML, then on the samples that FORML weighs most; print and draw."""
    given = arguments()
    data = Digits(given.seed)
    plain = data.fit("erm")
    fair = data.fit("forml", method_options=PERSISTENT)
    reports = {"erm": report(plain, *data.test), "forml": report(fair, *data.test)}
    print(
        f"{len(data.y)} training samples, {data.wrong.mean():.0%} of the labels wrong, {len(data.shown[1])} exemplars"
    )
    print(f"{'':24}accuracy  worst class")
    for name, found in reports.items():
        print(f"{name:24}{found['accuracy']:8.3f}  {found['worst_group']:11.3f}")
    weights = fair.sample_weights_
    right, wrong = weights[~data.wrong].mean(), weights[data.wrong].mean()
    print(f"mean weight of a right label {right:.2f}, of a wrong one {wrong:.2f}")
    for share in SHARES:
        kept = condense(weights, share, groups=data.y)
        drawn = np.random.default_rng(given.seed).choice(len(data.y), len(kept), replace=False)
        for name, chosen in (("FORML's weights", kept), ("chance", drawn)):
            found = report(data.fit("erm", chosen), *data.test)
            print(f"{f'{share:.0%} by {name}':24}{found['accuracy']:8.3f}  {found['worst_group']:11.3f}")
    if given.out is not None:
        draw(given.out, reports, weights, np.where(data.wrong, "wrong label", "right label"))
        print(f"written: {given.out}")


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = options.parser(__doc__)
    parser.add_argument("--seed", type=options.seed, default=0, help="default: %(default)s")
    parser.add_argument("--out", type=Path, help="where to write the picture (.png, .pdf, .svg)")
    given = parser.parse_args()
    # Told before the minute of training, not after it.
    if given.out is not None and not (
        given.out.parent.is_dir() and given.out.suffix.lower() in (".png", ".pdf", ".svg")
    ):
        parser.error(f"--out is a .png, .pdf or .svg file in a folder that is there, not {given.out}")
    return given


class Digits:
    """Training digits, some labelled wrongly; clean exemplars, 10 a class; a clean test part."""

    def __init__(self, seed: int) -> None:
        from sklearn.datasets import load_digits

        pixels, labels = load_digits(return_X_y=True)
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(labels))
        x, y = (pixels / 16).astype(np.float32)[order], labels[order]
        test, rest = slice(0, 540), np.arange(540, len(y))
        shown = np.concatenate([rest[y[rest] == digit][:10] for digit in range(10)])
        rest = np.setdiff1d(rest, shown)
        self.seed = seed
        self.test = x[test], y[test]
        self.shown = x[shown], y[shown]
        random = rng.integers(0, 10, len(rest))
        self.y = np.where(rng.random(len(rest)) < WRONG, random, y[rest])
        self.x, self.wrong = x[rest], self.y != y[rest]

    def fit(self, method: str, chosen: Any = slice(None), **options: Any) -> FairClassifier:
        """A network of 64 hidden units trained on the chosen samples."""
        made = FairClassifier((64,), method=method, seed=self.seed, epochs=40, lr=0.008, **options)
        return made.fit(self.x[chosen], self.y[chosen], exemplars=self.shown)


def draw(path: Path, reports: dict[str, Any], weights: Any, labels: Any) -> None:
    """Recall of every class beside the spread of the learned weights."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4), width_ratios=(2, 1), layout="constrained")
    plot_group_recall(reports, left)
    plot_weights(weights, labels, right)
    left.set_xlabel("digit")
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
