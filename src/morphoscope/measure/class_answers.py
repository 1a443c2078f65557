"""What a classifier answered beside what is true, image by image, and the tables that follow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from morphoscope.measure.classification import bootstrap, share_interval
from morphoscope.measure.honest import (
    HeldOut,
    accept_threshold,
    calibrated_error,
    calibration_interval,
    expected_calibration_error,
    prediction_sets,
)
from morphoscope.measure.judged import Judged

Array = NDArray[np.float64]
TOP_BINS = 20
NAN = float("nan")


@dataclass(frozen=True)
class ClassAnswers:
    """Answers of a classifier to n labelled images.

    Attributes:
        classes: their k names.
        files: names of the images.
        group: number (n,) of each image's group.
        truth: number (n,) of the true class.
        probability: (n, k), calibrated.
        raw: (n, k), before calibration.
        foreign: (n,), above 1 is like no image learnt.
    """

    classes: tuple[str, ...]
    files: tuple[str, ...]
    group: NDArray[np.int64]
    truth: NDArray[np.int64]
    probability: Array
    raw: Array
    foreign: Array

    @property
    def top(self) -> Array:
        """Probability (n,) of the most probable class."""
        return np.asarray(self.probability.max(axis=1))

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether (n,) that is the true one."""
        return np.asarray(self.probability.argmax(axis=1) == self.truth)

    @property
    def judged(self) -> Judged:
        """The same for the tables of exclusive classes."""
        true = np.eye(len(self.classes))[self.truth]
        return Judged(
            classes=self.classes,
            answer="exclusive",
            thresholds=(0.5,) * len(self.classes),
            files=self.files,
            truth=true,
            score=self.probability,
            image=np.arange(len(true)),
            group=self.group,
            true_extent=true,
            extent=self.probability,
        )


@dataclass(frozen=True)
class Rest:
    """What promises rest on: images `held_out` in training (none: nothing is promised), and classes that were not among them."""

    held_out: HeldOut | None
    unvalidated: tuple[str, ...] = ()


@dataclass(frozen=True)
class Promises:
    """What honest answers come to on labelled images: metrics by name, the sets (n, k) and who was accepted (n,)."""

    metrics: dict[str, float]
    sets: NDArray[np.bool_]
    accepted: NDArray[np.bool_]
    sentence: str


def mean_interval(values: ArrayLike, group: NDArray[np.int64], *, share: bool = True) -> tuple[float, float, float]:
    """The mean of (n,) with bounds in 95 %, drawing whole groups again; of a share of all or none, Wilson's for the groups."""
    x = np.asarray(values, float)
    mean = float(x.mean())
    if share and mean in (0.0, 1.0):
        return mean, *share_interval(mean, len(np.unique(group)))
    low, high = bootstrap(lambda weights: weights @ x / weights.sum(), group)
    return mean, float(low), float(high)


def calibration_metrics(answers: ClassAnswers) -> dict[str, float]:
    """The calibration error (15 bins) before and after calibration, with intervals, and what true probabilities would show."""
    found: dict[str, float] = {}
    for name, p in (("ece_before", answers.raw), ("ece", answers.probability)):
        top, right = p.max(axis=1), p.argmax(axis=1) == answers.truth
        low, high = calibration_interval(top, right, answers.group)
        found |= {name: expected_calibration_error(top, right), f"{name}_low": low, f"{name}_high": high}
    mean, most = calibrated_error(answers.top)
    return found | {"ece_of_true_probabilities": mean, "ece_of_true_probabilities_95": most}


def keep_promises(answers: ClassAnswers, rest: Rest, *, accuracy: float, coverage: float) -> Promises:
    """Sets and acceptance as the images held out in training have it, against what is true.

    Args:
        answers: of labelled images that were not learnt.
        rest: of the training; where nothing was held out no promise can be made, and the figures are nan. Answers of classes that
            are not validated are never accepted.
        accuracy: that the accepted shall have.
        coverage: share of sets that shall hold the true class.
    """
    names = [f"{name}{end}" for name in ("set_coverage", "set_size", "accepted_accuracy") for end in ("", "_low", "_high")]
    metrics = dict.fromkeys([*names, "several_classes", "accepted", "accept_threshold", "promised_accuracy"], NAN)
    metrics |= {"target_coverage": coverage, "target_accuracy": accuracy}
    metrics |= _interval("foreign", answers.foreign > 1, answers.group)
    (n, k), held_out = answers.probability.shape, rest.held_out
    if held_out is None:
        said = "no images were held out in training: nothing can be promised"
        return Promises(metrics, np.ones((n, k), bool), np.zeros(n, bool), said)
    sets = prediction_sets(answers.probability, held_out, coverage=coverage)
    inside, size = sets[np.arange(n), answers.truth], sets.sum(axis=1)
    found = accept_threshold(held_out, accuracy=accuracy)
    strange = np.isin(answers.probability.argmax(axis=1), [answers.classes.index(name) for name in rest.unvalidated])
    accepted = (answers.top >= found.threshold) & (answers.foreign <= 1) & ~strange
    metrics |= _interval("set_coverage", inside, answers.group) | _interval("set_size", size, answers.group, share=False)
    metrics |= {"several_classes": float((size > 1).mean()), "accepted": float(accepted.mean())}
    metrics |= {"accept_threshold": found.threshold, "promised_accuracy": found.promised}
    if accepted.any():
        group = np.unique(answers.group[accepted], return_inverse=True)[1].astype(np.int64)
        metrics |= _interval("accepted_accuracy", answers.right[accepted], group)
    said = found.sentence
    if rest.unvalidated:
        said += f". No images of {', '.join(rest.unvalidated)} were held out: answers that name it are not accepted"
    return Promises(metrics, sets, accepted, said)


def _interval(name: str, values: ArrayLike, group: NDArray[np.int64], *, share: bool = True) -> dict[str, float]:
    return dict(zip((name, f"{name}_low", f"{name}_high"), mean_interval(values, group, share=share), strict=True))


def answer_table(answers: ClassAnswers, promises: Promises) -> pd.DataFrame:
    """A row per image: `label_true`, `label`, `probability`, `right`, the set (`labels`, joined by |), `decision`, `foreign`."""
    names, p = np.array(answers.classes), answers.probability
    order = np.argsort(-p, axis=1, kind="stable")
    columns = {
        "file": answers.files,
        "group": answers.group,
        "label_true": names[answers.truth],
        "label": names[p.argmax(axis=1)],
        "probability": answers.top,
        "margin": np.diff(np.sort(p, axis=1)[:, -2:])[:, 0],
        "right": answers.right,
        "labels": ["|".join(names[j] for j in row if inside[j]) for row, inside in zip(order, promises.sets, strict=True)],
        "classes_in_set": promises.sets.sum(axis=1),
        "decision": np.select([answers.foreign > 1, promises.accepted], ["foreign", "accept"], "review"),
        "foreign": answers.foreign,
    }
    return pd.DataFrame(columns | {f"prob_{name}": p[:, j] for j, name in enumerate(answers.classes)})


def top_table(answers: ClassAnswers, *, bins: int = TOP_BINS) -> pd.DataFrame:
    """How the top probability is distributed: `low` and `high` of each bin, images with a `right` and with a `wrong` answer."""
    edges = np.linspace(0, 1, bins + 1)
    right, wrong = (np.histogram(answers.top[chosen], edges)[0] for chosen in (answers.right, ~answers.right))
    return pd.DataFrame({"low": edges[:-1], "high": edges[1:], "right": right, "wrong": wrong})


def selective_table(answers: ClassAnswers) -> pd.DataFrame:
    """What accepting from a `threshold` on would give: the share `accepted` and the `accuracy` among these."""
    order = np.argsort(-answers.top, kind="stable")
    top, right = answers.top[order], np.cumsum(answers.right[order])
    last = np.r_[np.flatnonzero(np.diff(top)), len(top) - 1]
    return pd.DataFrame({"threshold": top[last], "accepted": (last + 1) / len(top), "accuracy": right[last] / (last + 1)})
