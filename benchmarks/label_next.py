"""Whether the images that `next.csv` names teach more than others: accuracy against the number of labels, chosen or by lot.

`python -m benchmarks.label_next`: steel surfaces and nanofibres, features of the frozen default backbone, a linear layer.
Two labels a class to begin with, then rounds of ten; half of the groups are tested and never labelled.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.data import OUT, data_folder
from morphoscope.measure.label_next import label_next, unsureness

SETS = ("neu-surface", "nanofibre-sem")
FIRST, ROUND, ROUNDS, DRAWS = 2, 10, 5, 20
Array = NDArray[Any]


@dataclass(frozen=True)
class Pool:
    """Features (n, d) with classes and groups (n,)."""

    features: Array
    truth: Array
    group: Array


def read_pool(name: str) -> Pool:
    """The features of a data set, found once and kept in `benchmarks/out`."""
    from morphoscope.train.backbones import DEFAULT, build_backbone
    from morphoscope.train.class_data import Look, look_at, read_classes

    path = OUT / f"label_next_{name}.npz"
    if not path.is_file():
        backbone = build_backbone(DEFAULT)
        seen = look_at(read_classes(data_folder(name)), backbone, Look(backbone.side, ways=0), progress=lambda *_: None)
        groups = np.unique(seen.groups, return_inverse=True)[1]
        path.parent.mkdir(exist_ok=True)
        np.savez_compressed(path, features=seen.features, truth=seen.truth, group=groups)
    kept = np.load(path)
    features = kept["features"]
    return Pool((features - features.mean(0)) / np.maximum(features.std(0), 1e-6), kept["truth"], kept["group"])


def by_lot(rng: np.random.Generator, probability: Array, features: Array) -> Array:
    """Any images."""
    return rng.permutation(len(features))[:ROUND]


def unsure(rng: np.random.Generator, probability: Array, features: Array) -> Array:
    """The most unsure ones, however alike."""
    return np.argsort(-unsureness(probability), kind="stable")[:ROUND]


def chosen(rng: np.random.Generator, probability: Array, features: Array) -> Array:
    """As `next.csv` names them."""
    return label_next(unsureness(probability), features, ROUND)


WAYS: dict[str, Callable[[np.random.Generator, Array, Array], Array]] = {"by lot": by_lot, "unsure": unsure, "next.csv": chosen}


def curve(pool: Pool, way: str, seed: int) -> list[float]:
    """Accuracy on the tested half after each round."""
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(seed)
    groups = rng.permutation(np.unique(pool.group))
    tested = np.isin(pool.group, groups[: len(groups) // 2])
    free = np.flatnonzero(~tested)
    known = [i for k in np.unique(pool.truth) for i in rng.permutation(free[pool.truth[free] == k])[:FIRST]]
    found = []
    for step in range(ROUNDS + 1):
        model = LogisticRegression(C=0.01, max_iter=300).fit(pool.features[known], pool.truth[known])
        found.append(float((model.predict(pool.features[tested]) == pool.truth[tested]).mean()))
        if step < ROUNDS:
            left = np.setdiff1d(free, known)
            taken = WAYS[way](rng, model.predict_proba(pool.features[left]), pool.features[left])
            known += left[taken].tolist()
    return found


def main() -> None:
    """Print a table per data set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=DRAWS, help="splits that are averaged")
    draws = parser.parse_args().draws
    for name in SETS:
        pool = read_pool(name)
        labels = [FIRST * len(np.unique(pool.truth)) + ROUND * k for k in range(ROUNDS + 1)]
        print(f"{name}: accuracy on {draws} splits, mean (standard error), with {', '.join(map(str, labels))} labels")
        for way in WAYS:
            curves = np.array([curve(pool, way, seed) for seed in range(draws)])
            mean, error = curves.mean(0), curves.std(0, ddof=1) / np.sqrt(draws)
            print(f"  {way:<9}" + "  ".join(f"{m:.3f} ({e:.3f})" for m, e in zip(mean, error, strict=True)))


if __name__ == "__main__":
    main()
