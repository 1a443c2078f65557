"""How good a classifier is, from its answers to images that it had not learnt."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from morphoscope.measure.classification import bootstrap, rates, share_interval
from morphoscope.measure.honest_calibration import expected_calibration_error
from morphoscope.models.classify import probabilities
from morphoscope.train.class_data import ClassImages
from morphoscope.train.class_folds import HeldOutLogits

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Honest:
    """Answers to images held out: `probability` (n, k) calibrated on others and that `before`, `truth` (n,) and `group` (n,)."""

    probability: NDArray[np.float32]
    before: NDArray[np.float32]
    truth: NDArray[np.int64]
    group: NDArray[np.int64]


def honest(held: HeldOutLogits, images: ClassImages) -> Honest:
    """The answers of a training."""
    numbers = held.answered
    truth, names = images.truth[numbers], np.array(images.groups)[numbers]
    group = np.unique(names, return_inverse=True)[1].astype(np.int64)
    logits = held.logits[numbers]
    calibrated = probabilities(logits / held.temperature[numbers, None])
    return Honest(calibrated, probabilities(logits), truth, group)


def macro_f1(truth: NDArray[np.int64], found: NDArray[np.int64], classes: int, weights: Array | None = None) -> float:
    """Mean over the classes that occur of F1, images weighted (n,)."""
    weight = np.ones(len(truth)) if weights is None else weights
    table = np.bincount(truth * classes + found, weight, minlength=classes * classes).reshape(classes, classes)
    right, rows, columns = np.diag(table), table.sum(axis=1), table.sum(axis=0)
    f1 = rates(np.stack([right, columns - right, np.zeros(classes), rows - right]))["f1"]
    return float(f1[rows > 0].mean()) if rows.any() else float("nan")


def figures(told: Honest) -> dict[str, float]:
    """Accuracy and macro F1 with 95 % intervals (bootstrap over groups), and the calibration error before and after."""
    found, classes = told.probability.argmax(axis=1), told.probability.shape[1]
    right = found == told.truth
    low, high = bootstrap(lambda w: (float(w @ right / w.sum()), macro_f1(told.truth, found, classes, w)), told.group)
    values = {"accuracy": float(right.mean()), "f1": macro_f1(told.truth, found, classes)}
    out: dict[str, float] = {}
    for k, (name, value) in enumerate(values.items()):
        out |= {name: value, f"{name}_low": float(low[k]), f"{name}_high": float(high[k])}
    if right.all() and np.isfinite(out["accuracy_low"]):
        out["accuracy_low"] = share_interval(1.0, int(told.group.max()) + 1)[0]
    out["ece"] = expected_calibration_error(told.probability.max(axis=1), right)
    out["ece_before"] = expected_calibration_error(told.before.max(axis=1), told.before.argmax(axis=1) == told.truth)
    return {name: round(value, 4) for name, value in out.items() if np.isfinite(value)}


def class_rows(told: Honest | None, images: ClassImages) -> pd.DataFrame:
    """A row per class: `class`, `images`, `groups` learnt; `held_out`, `precision`, `recall`, `f1` of those held out."""
    names, truth, groups = images.data.classes, images.truth, np.array(images.groups)
    rows = pd.DataFrame(
        {
            "class": names,
            "images": np.bincount(truth, minlength=len(names)),
            "groups": [len(set(groups[truth == k])) for k in range(len(names))],
        }
    )
    if told is None:
        return rows
    found, everyone = told.probability.argmax(axis=1), np.arange(len(names))
    true, said = told.truth[:, None] == everyone, found[:, None] == everyone
    cells = np.stack([(true & said).sum(0), (~true & said).sum(0), (~true & ~said).sum(0), (true & ~said).sum(0)])
    score = rates(cells)
    return rows.assign(held_out=true.sum(axis=0), **{name: score[name] for name in ("precision", "recall", "f1")})
