"""What a score model said beside what is true, and the tables that follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from morphoscope.measure.classification import (
    auc_of_weights,
    bootstrap,
    confusion,
    counts,
    half_width,
    rates,
    roc_curve,
    share_interval,
)

Array = NDArray[np.float64]
ALL = "all"
RATES = ("accuracy", "precision", "recall", "f1", "auc")
MOST_POINTS = 400  # of a curve that is written
HALF, ANYTHING = 0.5, 0.01  # from which share on a class is present: in an image as a degree; in a patch as a share of its area


@dataclass(frozen=True)
class Judged:
    """What a model says and what is true, of each image (or of each patch of marked images).

    `truth` and `score` (n, k), 0 to 1; `image` (n,) the number of the image in `files`; `group` (n,) its group, from 0.
    `true_extent` and `extent` (images, k) are of whole images. Of an `exclusive` answer one class is true and the most probable
    is decided; else each class whose score reaches its threshold is decided, and true from `present_from` on: `HALF` the scale
    of degrees and of extents of whole images, and `ANYTHING` of the area of a patch, as thin things never fill half of one.
    `limits` (n, k) are thresholds that differ from row to row.
    """

    classes: tuple[str, ...]
    answer: str
    thresholds: tuple[float, ...]
    files: tuple[str, ...]
    truth: Array
    score: Array
    image: NDArray[np.int64]
    group: NDArray[np.int64]
    true_extent: Array
    extent: Array
    levels: int = 10
    present_from: float = HALF
    limits: Array | None = None

    @property
    def decided(self) -> NDArray[np.bool_]:
        """What was decided (n, k)."""
        if self.answer == "exclusive":
            return _one_of(self.score)
        return np.asarray(self.score >= (np.array(self.thresholds) if self.limits is None else self.limits))

    @property
    def positive(self) -> NDArray[np.bool_]:
        """What is true (n, k)."""
        return _one_of(self.truth) if self.answer == "exclusive" else np.asarray(self.truth >= self.present_from)

    @property
    def group_of_image(self) -> NDArray[np.int64]:
        """The group of each whole image."""
        group = np.zeros(len(self.files), np.int64)
        group[self.image] = self.group
        return group

    @property
    def by_patch(self) -> bool:
        """Patches were judged, several of an image."""
        return len(self.image) > len(self.files)


def pooled(parts: Sequence[Judged]) -> Judged:
    """What several models with the same classes said of different images, together.

    Each decides with its own thresholds; the means of them are for a model that has learnt all.
    """
    images = np.cumsum([0, *(len(one.files) for one in parts)])
    groups = np.cumsum([0, *(int(one.group.max()) + 1 for one in parts)])
    return replace(
        parts[0],
        thresholds=tuple(np.mean([one.thresholds for one in parts], axis=0).tolist()),
        limits=np.concatenate([np.broadcast_to(one.thresholds, one.score.shape) for one in parts]),
        files=tuple(file for one in parts for file in one.files),
        image=np.concatenate([one.image + k for one, k in zip(parts, images[:-1], strict=True)]),
        group=np.concatenate([one.group + k for one, k in zip(parts, groups[:-1], strict=True)]),
        truth=np.concatenate([one.truth for one in parts]),
        score=np.concatenate([one.score for one in parts]),
        true_extent=np.concatenate([one.true_extent for one in parts]),
        extent=np.concatenate([one.extent for one in parts]),
    )


def _one_of(values: Array) -> NDArray[np.bool_]:
    return np.asarray(np.eye(values.shape[1], dtype=bool)[values.argmax(axis=1)])


def class_table(judged: Judged, *, intervals: bool = True) -> pd.DataFrame:
    """A row per class and one for `all`: counts, the rates with their intervals (nan where they are not wanted).

    Of exclusive classes, `all` has the share of right images as its accuracy, and the means over classes of the other rates
    (macro); else its counts are those of all classes together (micro). The AUC of `all` is that of all scores together.
    """
    truth, found = judged.positive, judged.decided
    curves = [auc_of_weights(truth[:, j], judged.score[:, j]) for j in range(truth.shape[1])]
    together = auc_of_weights(truth.ravel(), judged.score.ravel())

    def statistic(weights: Array) -> Array:
        cells = counts(truth, found, weights)
        each = rates(cells)
        pooled = rates(cells.sum(axis=1))
        if judged.answer == "exclusive":
            right = (truth & found).any(axis=1)
            pooled = {name: _mean(each[name]) for name in each} | {"accuracy": np.asarray(weights @ right / weights.sum())}
        areas = [*(curve(weights) for curve in curves), together(np.repeat(weights, truth.shape[1]))]
        table = [np.r_[each[name], pooled[name]] for name in RATES[:-1]]
        return np.stack([*table, np.array(areas)], axis=1)

    values = statistic(np.ones(len(truth)))
    unknown = np.full_like(values, np.nan)
    low, high = bootstrap(statistic, judged.group, draws=_draws(truth)) if intervals else (unknown, unknown)
    if intervals:
        _widen(values[:, 0], low[:, 0], high[:, 0], int(judged.group.max()) + 1)
        _widen(values[-1:, 3], low[-1:, 3], high[-1:, 3], int(judged.group.max()) + 1)  # F1 of all
    cells = counts(truth, found).astype(int)
    cells = np.c_[cells, cells.sum(axis=1)]
    table = pd.DataFrame({"class": [*judged.classes, ALL], **dict(zip(("tp", "fp", "tn", "fn"), cells, strict=True))})
    for k, name in enumerate(RATES):
        table[name], table[f"{name}_low"], table[f"{name}_high"] = values[:, k], low[:, k], high[:, k]
    return table


def _widen(share: Array, low: Array, high: Array, groups: int) -> None:
    """Bounds of shares (n,), in place, where all are right or all wrong: of that a bootstrap would say that it is certain."""
    for k in np.flatnonzero((share == 0) | (share == 1)):
        low[k], high[k] = share_interval(float(share[k]), groups)


def _mean(values: Array) -> Array:
    """The mean of those that are known."""
    known = np.isfinite(values)
    return np.asarray(values[known].mean() if known.any() else np.nan)


def _draws(truth: NDArray[np.bool_]) -> int:
    """Fewer draws for many decisions, for time's sake."""
    return 1000 if truth.size < 20_000 else 200


def confusion_table(judged: Judged) -> pd.DataFrame:
    """Counts of true classes (rows, column `true`) by found ones (columns): the classes, or levels of an ordinal answer,
    those between two levels with the nearest.

    Of classes that may overlap: each class's own `present` and `absent`.
    """
    if judged.answer == "exclusive":
        table = confusion(judged.truth.argmax(axis=1), judged.score.argmax(axis=1), len(judged.classes))
        return _labelled(table, list(judged.classes))
    if judged.answer == "ordinal":
        n = judged.levels + 1
        true, found = (np.rint(x * judged.levels).astype(int).ravel() for x in (judged.truth, judged.score))
        return _labelled(confusion(true, found, n), [str(k) for k in range(n)])
    tp, fp, tn, fn = counts(judged.positive, judged.decided).astype(int)
    rows = []
    for j, name in enumerate(judged.classes):
        rows.append({"true": name, "found": tp[j], "not found": fn[j]})
        rows.append({"true": f"no {name}", "found": fp[j], "not found": tn[j]})
    return pd.DataFrame(rows)


def _labelled(table: NDArray[np.int64], names: list[str]) -> pd.DataFrame:
    frame = pd.DataFrame(table, columns=names)
    frame.insert(0, "true", names)
    return frame


def roc_table(judged: Judged) -> pd.DataFrame:
    """Points `class`, `threshold`, `fpr`, `tpr` of the curves of each class and of all; none where one side is missing."""
    truth, parts = judged.positive, []
    columns = [(name, truth[:, j], judged.score[:, j]) for j, name in enumerate(judged.classes)]
    for name, true, score in [*columns, (ALL, truth.ravel(), judged.score.ravel())]:
        fpr, tpr, threshold = roc_curve(true, score)
        if not (np.isfinite(fpr).all() and np.isfinite(tpr).all()):
            continue
        few = np.unique(np.linspace(0, len(fpr) - 1, MOST_POINTS).astype(int))
        parts.append(pd.DataFrame({"class": name, "threshold": threshold[few], "fpr": fpr[few], "tpr": tpr[few]}))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["class", "threshold", "fpr", "tpr"])


def extent_table(judged: Judged) -> pd.DataFrame:
    """Errors of the extents of whole images, a row per class and one for `all`, on the scale 0 to 1.

    `mae`, `rms`, `bias` (found less true), rank correlation `spearman` (nan where all are equal) and `half95`, see `half_width`:
    of the next image of another group.
    """
    rows, group = [], judged.group_of_image
    pairs = list(zip(judged.classes, judged.true_extent.T, judged.extent.T, strict=True))
    for name, true, found in [*pairs, (ALL, judged.true_extent.ravel(), judged.extent.ravel())]:
        error = found - true
        rows.append(
            {
                "class": name,
                "n": len(error),
                "mae": np.abs(error).mean(),
                "rms": np.sqrt((error**2).mean()),
                "bias": error.mean(),
                "spearman": _spearman(true, found),
                "half95": half_width(error, np.repeat(group, len(error) // len(group))),
            }
        )
    return pd.DataFrame(rows)


def _spearman(a: Array, b: Array) -> float:
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.corrcoef(rankdata(a), rankdata(b))[0, 1])


def frame_table(judged: Judged) -> pd.DataFrame:
    """A row per image: true and found class with its probability, or true and found extents `S_<class>`."""
    table = pd.DataFrame({"file": judged.files})
    if judged.answer == "exclusive":
        names = np.array(judged.classes)
        table["label_true"], table["label"] = (names[x.argmax(axis=1)] for x in (judged.true_extent, judged.extent))
        table["probability"] = judged.extent.max(axis=1)
    for j, name in enumerate(judged.classes):
        if judged.answer != "exclusive":
            table[f"S_{name}_true"] = judged.true_extent[:, j]
        table[f"S_{name}"] = judged.extent[:, j]
    return table


def headline(judged: Judged, by_class: pd.DataFrame, extents: pd.DataFrame) -> dict[str, float]:
    """The numbers of `all`, and what was counted."""
    main = by_class.set_index("class").loc[ALL]
    metrics = {name: float(main[name]) for rate in RATES for name in (rate, f"{rate}_low", f"{rate}_high")}
    metrics |= {"n_images": float(len(judged.files)), "n_judged": float(len(judged.truth))}
    metrics |= {name: float(main[name]) for name in ("tp", "fp", "tn", "fn")}
    if judged.answer != "exclusive":
        metrics["present_from"] = judged.present_from
    if len(extents):
        whole = extents.set_index("class").loc[ALL]
        metrics |= {f"extent_{name}": float(whole[name]) for name in ("mae", "rms", "bias", "spearman")}
    if judged.answer == "ordinal":
        off = np.abs(judged.score - judged.truth) * judged.levels  # a true level may lie between two
        metrics |= {"level_right": float((off <= 0.5).mean()), "level_within_1": float((off <= 1.5).mean())}
        metrics["level_error"] = float(off.mean())
    return metrics
