"""Whether honest answers keep their promises on images never learnt: `python -m benchmarks.conformal`.

Each of five folds is held back. On the rest a classifier is trained as `train classify` does it, with answers held out inside the
rest; from these come temperature, prediction sets at 90 % and 95 %, and the threshold that accepts answers at a named accuracy.
All of it is then put to the test on the fold. Beside the sets as they are made: adaptive sets (APS), and sets that take near
copies for images of their own.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.data import data_folder
from morphoscope.measure.class_answers import mean_interval
from morphoscope.measure.classification import group_quantile
from morphoscope.measure.honest import (
    HeldOut,
    accept_threshold,
    expected_calibration_error,
    group_weights,
    lower_bound,
    prediction_sets,
)
from morphoscope.models.classify import probabilities
from morphoscope.recipe import Recipe
from morphoscope.train.class_figures import honest
from morphoscope.train.class_folds import deal_parts
from morphoscope.train.class_job import PARTS, ClassTraining, prepare

Array = NDArray[np.float64]
FOLDS, COVERAGES = 5, (0.9, 0.95)


@dataclass(frozen=True)
class Fold:
    """What was said of a fold held back, and what was held out inside the rest: probabilities (n, k), truth and groups (n,)."""

    probability: Array
    truth: NDArray[np.int64]
    group: NDArray[np.int64]
    held: Array
    held_truth: NDArray[np.int64]
    held_group: NDArray[np.int64]

    def sets(self, coverage: float, how: str) -> NDArray[np.bool_]:
        """Prediction sets of the fold."""
        group = np.arange(len(self.held)) if how == "copies for images" else self.held_group
        if how == "adaptive":
            return adaptive_sets(self.probability, self.held, self.held_truth, group, coverage)
        return prediction_sets(self.probability, HeldOut.of(self.held, self.held_truth, group), coverage=coverage)


def adaptive_sets(
    p: Array, held: Array, truth: NDArray[np.int64], group: NDArray[np.int64], coverage: float
) -> NDArray[np.bool_]:
    """Classes in falling order until their probabilities reach a bound (Romano, Sesia & Candes, NeurIPS 2020, not randomised)."""

    def up_to(rows: Array) -> Array:
        order = np.argsort(-rows, axis=1, kind="stable")
        total = np.take_along_axis(rows, order, axis=1).cumsum(axis=1)
        return np.take_along_axis(total, np.argsort(order, axis=1, kind="stable"), axis=1)

    bound = group_quantile(up_to(held)[np.arange(len(held)), truth], group, coverage)
    return np.asarray((up_to(p) <= bound) | (p == p.max(axis=1, keepdims=True)))


def hold_back(job: ClassTraining, seed: int) -> list[Fold]:
    """Each fold with a classifier that has learnt the rest."""
    images = job.images
    number = np.unique(images.groups, return_inverse=True)[1]
    part = deal_parts(images.groups, images.targets, parts=FOLDS, seed=seed)
    folds = []
    for back in range(FOLDS):
        inside, rest = np.flatnonzero(part == back), np.flatnonzero(part != back)
        some = images.some(rest.tolist())
        inner = replace(job, images=some, part=deal_parts(some.groups, some.targets, parts=PARTS, seed=seed + 1))
        held = inner.hold_out(lambda *_: None)
        assert held is not None
        told, network = honest(held, some), inner.learn(held.chosen, lambda *_: None)
        with torch.inference_mode():
            features = network.scaled(torch.from_numpy(images.features[inside]))
            logits = network.head(network.scaled.level(features), network.scaled.level(network.bank)).numpy()
        folds.append(
            Fold(
                probabilities(logits, temperature=held.settled).astype(float),
                images.truth[inside],
                number[inside],
                told.probability.astype(float),
                told.truth,
                told.group,
            )
        )
    return folds


def say_sets(folds: list[Fold]) -> None:
    """Coverage and mean size of sets over all folds."""
    group = np.concatenate([one.group for one in folds])
    for coverage in COVERAGES:
        for how in ("as made", "adaptive", "copies for images"):
            sets = [one.sets(coverage, how) for one in folds]
            inside = np.concatenate([s[np.arange(len(s)), one.truth] for s, one in zip(sets, folds, strict=True)])
            size = np.concatenate([s.sum(axis=1) for s in sets])
            share, low, high = mean_interval(inside, group)
            print(
                f"  sets at {100 * coverage:g} %, {how:<17}: cover {share:.4f} ({low:.4f} to {high:.4f}), "
                f"{size.mean():.3f} classes in a set, several in {(size > 1).mean():.3f}, empty {int((size == 0).sum())}"
            )


def say_accepted(folds: list[Fold], accuracy: float) -> None:
    """What is accepted of all folds, and how much of it is right; groups count as one in the bound."""
    accepted, right, draws, wrong, promised = 0, 0, 0.0, 0.0, 0
    for one in folds:
        found = accept_threshold(HeldOut.of(one.held, one.held_truth, one.held_group), accuracy=accuracy)
        sure, hit = one.probability.max(axis=1) >= found.threshold, one.probability.argmax(axis=1) == one.truth
        weight = group_weights(one.group)
        accepted, right, promised = accepted + int(sure.sum()), right + int(hit[sure].sum()), promised + found.possible
        draws, wrong = draws + float(weight[sure].sum()), wrong + float(weight[sure & ~hit].sum())
    share = accepted / sum(len(one.truth) for one in folds)
    line = f"  at {100 * accuracy:g} %: promised in {promised} of {len(folds)} folds; {share:.4f} of images accepted"
    if accepted:
        line += f", {right / accepted:.4f} of them right, 95 % lower bound {lower_bound(draws, wrong, 0.05):.4f}"
    print(line, flush=True)


def main() -> None:
    """Both sets of images, a few ways to deal the folds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", nargs="+", default=["neu-surface", "nanofibre-sem"])
    parser.add_argument("--method", default="frozen", choices=["frozen", "neighbours"])
    parser.add_argument("--seeds", type=int, default=3, help="ways to deal the folds")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    for name in given.data:
        recipe = Recipe.model_validate({"run": {"threads": given.threads}, "train": {"method": given.method}})
        job = prepare(data_folder(name), recipe)
        print(f"{name}: {len(job.images.truth)} images in {len(set(job.images.groups))} groups, {given.method} lite0")
        every = list[Fold]()
        for seed in range(given.seeds):
            folds = hold_back(job, seed)
            p, truth = np.concatenate([one.probability for one in folds]), np.concatenate([one.truth for one in folds])
            right = p.argmax(axis=1) == truth
            ece = expected_calibration_error(p.max(axis=1), right)
            print(f" folds dealt with seed {seed}: accuracy {right.mean():.4f}, ECE {ece:.4f}")
            say_sets(folds)
            for accuracy in (0.99,) if name == "neu-surface" else (0.99, 0.9, 0.8):
                say_accepted(folds, accuracy)
            every += folds
        print(f" all {given.seeds} ways together:")
        say_sets(every)


if __name__ == "__main__":
    main()
