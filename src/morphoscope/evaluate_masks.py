"""How good a segmenter is on images with label images or class maps: tables and metrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from morphoscope.errors import InputError
from morphoscope.evaluate import recall_by_size, smallest_reliable
from morphoscope.io.label_images import Pair
from morphoscope.measure.mask_scores import IOU, Counts, areas, count_matches, count_pixels, diameters, iou_of, mean_iou
from morphoscope.measure.matching import match_labels, precision_recall_f1
from morphoscope.measure.tolerance import TOLERANCES_PX, f1, within
from morphoscope.models.segment import Segmenter

CUTOFFS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
DRAWS, LEVEL = 2000, 0.95
Seen = Callable[[Pair, NDArray[Any], NDArray[Any]], None]  # takes a labelled image, its picture (h, w) and what was found (h, w)


@dataclass(frozen=True)
class MaskEvaluation:
    """Tables of an evaluation of masks; those that a kind of model has no use for are empty.

    `frames`: a row per image; `by_iou`: scores of particles pooled at each IoU cut-off, `by_iou_frame` the same per image;
    `by_size`: recall by true diameter; `by_class`: IoU of the pixels of each class; `by_tolerance`: precision, recall and F1 of
    each class where found and true pixels may lie some px apart; `metrics`: the headline numbers.
    """

    frames: pd.DataFrame
    by_iou: pd.DataFrame
    by_iou_frame: pd.DataFrame
    by_size: pd.DataFrame
    by_class: pd.DataFrame
    by_tolerance: pd.DataFrame
    metrics: dict[str, float]


def evaluate_particles(
    segmenter: Segmenter, data: Sequence[Pair], *, threshold: float | None = None, seen: Seen | None = None
) -> MaskEvaluation:
    """Particles found against label images, greedily paired one to one, highest IoU first.

    Metrics: `f1`, `precision`, `recall` at `iou` 0.5, pooled, with the interval of F1 (95 %, bootstrap over images); the relative
    errors of count and of mean area-equivalent diameter per image (median, mean and worst of their absolute values).

    Args:
        segmenter: a loaded model.
        data: images with label images.
        threshold: as in `Segmenter.segment`.
        seen: called with each image and what was found in it, such as `report.mask_evaluation.MaskPictures`.

    Raises:
        InputError: an image cannot be read, or there is none.
    """
    _some(data)
    rows, counts, sizes, hits = [], np.zeros((len(data), len(CUTOFFS), 3), np.int64), [], []
    for k, one in enumerate(data):
        image = one.image()
        (found,) = segmenter.segment([image], threshold=threshold)
        counts[k] = [count_matches(found, one.labels, cutoff) for cutoff in CUTOFFS]
        wide = diameters(one.labels)
        rows.append({"file": one.path.name, **_sizes(wide, diameters(found))})
        sizes.append(wide)
        hits.append(np.isin(areas(one.labels)[0], match_labels(found, one.labels, IOU)[:, 1]))
        if seen is not None:
            seen(one, image, found)
    by_size = recall_by_size(np.concatenate(sizes), np.concatenate(hits))
    by_iou = _scores(counts.sum(axis=0))
    per_image = pd.concat([_scores(c).assign(file=one.path.name) for c, one in zip(counts, data, strict=True)])
    at = CUTOFFS.index(IOU)
    frames = pd.DataFrame(rows).merge(per_image[per_image["iou"] == IOU].drop(columns="iou"), on="file")
    low, high = interval(counts[:, at], lambda pooled: _f1(pooled))
    main = by_iou.set_index("iou").loc[IOU]
    metrics = {
        "f1": float(main["f1"]),
        "f1_low": low,
        "f1_high": high,
        "precision": float(main["precision"]),
        "recall": float(main["recall"]),
        "iou": IOU,
        "n_images": float(len(data)),
        "n_true": float(frames["n_true"].sum()),
        "n_found": float(frames["n_found"].sum()),
        **_errors(frames),
        "smallest_reliable_px": smallest_reliable(by_size) if len(by_size) else float("nan"),
    }
    per_image = per_image.reset_index(drop=True)
    return MaskEvaluation(frames, by_iou, per_image, by_size, pd.DataFrame(), pd.DataFrame(), metrics)


def evaluate_classes(
    segmenter: Segmenter,
    data: Sequence[Pair],
    classes: Sequence[str],
    *,
    threshold: float | None = None,
    seen: Seen | None = None,
) -> MaskEvaluation:
    """Pixels of classes against class maps: intersection over union (IoU) pooled over all images.

    Metrics: `iou`, the mean over classes without the background, with its interval (95 %, bootstrap over images), `iou_<class>`
    and `iou_background`, and `accuracy`, the share of right pixels. `by_class` has intervals, precision, recall and F1 (Dice).
    `by_tolerance`, for thin things such as cracks, the mean over images of `measure.tolerance.within`; `f1_2px` and the like in
    the metrics are its means over classes.
    A class that is neither in the truth nor found has no IoU (nan) and no part in the mean.

    Args:
        segmenter: a loaded model; of one that tells particles apart, the particles are the one class.
        data: images with class maps.
        classes: names of the classes 1, 2, ... of the data, the same as the model's.
        threshold: as in `Segmenter.segment`.
        seen: as in `evaluate_particles`.

    Raises:
        InputError: other classes than the model's, an image cannot be read, or there is none.
    """
    _some(data)
    if len(classes) != len(segmenter.card.classes):
        raise InputError(f"the masks hold the classes {', '.join(classes)}, the model {', '.join(segmenter.card.classes)}")
    counts = np.zeros((len(data), len(classes) + 1, 3), np.int64)
    near = np.zeros((len(data), len(classes), len(TOLERANCES_PX), 2))
    for k, one in enumerate(data):
        image = one.image()
        (found,) = segmenter.class_maps([image], threshold=threshold)
        near[k] = [[within(found == c, one.labels == c, px) for px in TOLERANCES_PX] for c in range(1, len(classes) + 1)]
        counts[k, 1:] = count_pixels(found, one.labels, len(classes))
        both = int(((found == 0) & (one.labels == 0)).sum())
        counts[k, 0] = both, int((found == 0).sum()) - both, int((one.labels == 0).sum()) - both
        if seen is not None:
            seen(one, image, found)
    names = ("background", *classes)
    each = pd.DataFrame([_row(c) for c in counts.sum(axis=0)]).assign(iou=iou_of(counts.sum(axis=0)))
    bounds = np.array([interval(counts[:, k], lambda pooled: float(iou_of(pooled))) for k in range(len(names))])
    by_class = each.assign(**{"class": names, "iou_low": bounds[:, 0], "iou_high": bounds[:, 1]})
    frames = pd.DataFrame(iou_of(counts), columns=[f"iou_{name}" for name in names])
    frames.insert(0, "file", [one.path.name for one in data])
    low, high = interval(counts[:, 1:], lambda pooled: float(mean_iou(pooled)))
    metrics = {
        "iou": float(mean_iou(counts.sum(axis=0)[1:])),
        "iou_low": low,
        "iou_high": high,
        "accuracy": float(counts[..., 0].sum() / sum(one.labels.size for one in data)),
        **{f"iou_{name}": float(value) for name, value in zip(names, each["iou"], strict=True)},
        "n_images": float(len(data)),
    }
    by_tolerance = _by_tolerance(near, classes)
    metrics |= {f"f1_{px:g}px": float(f) for px, f in by_tolerance.groupby("tolerance_px")["f1"].mean().items()}
    return MaskEvaluation(frames, pd.DataFrame(), pd.DataFrame(), pd.DataFrame(), by_class, by_tolerance, metrics)


def _by_tolerance(near: NDArray[np.float64], classes: Sequence[str]) -> pd.DataFrame:
    """A row per class and tolerance of the precision and recall (images, classes, tolerances, 2) of each image."""
    rows = []
    for k, name in enumerate(classes):
        for j, px in enumerate(TOLERANCES_PX):
            precision, recall = near[:, k, j].mean(axis=0)
            low, high = interval(near[:, k, j], lambda total: f1(*(total / len(near))))
            scores = {"precision": precision, "recall": recall, "f1": f1(precision, recall), "f1_low": low, "f1_high": high}
            rows.append({"class": name, "tolerance_px": px, **scores})
    return pd.DataFrame(rows)


def interval(counts: NDArray[Any], score: Callable[[NDArray[Any]], float]) -> tuple[float, float]:
    """Bounds of a score of pooled counts (images, ...) in 95 % of draws of as many images (percentile bootstrap).

    Draws in which the score is nan, as its class is in none of the images drawn, do not count.
    """
    if len(counts) < 2:
        return float("nan"), float("nan")
    rng = np.random.default_rng(0)
    draws = np.array([score(counts[rng.integers(len(counts), size=len(counts))].sum(axis=0)) for _ in range(DRAWS)])
    known = draws[np.isfinite(draws)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return float(low), float(high)


def _some(data: Sequence[Pair]) -> None:
    if not data:
        raise InputError("wanted at least one labelled image to evaluate on, got none")


def _sizes(true: NDArray[np.float64], found: NDArray[np.float64]) -> dict[str, float]:
    """Count and mean diameter of one image, true and found, and their relative errors; nan where there is nothing to compare."""
    mean_true, mean = (float(x.mean()) if len(x) else float("nan") for x in (true, found))
    return {
        "n_true": len(true),
        "n_found": len(found),
        "count_error": (len(found) - len(true)) / len(true) if len(true) else float("nan"),
        "diameter_mean_true_px": mean_true,
        "diameter_mean_px": mean,
        "diameter_error": (mean - mean_true) / mean_true,
    }


def _errors(frames: pd.DataFrame) -> dict[str, float]:
    """Median, mean and worst of the absolute errors per image."""
    found: dict[str, float] = {}
    for name in ("count_error", "diameter_error"):
        size = frames[name].abs()
        found |= {f"{name}_median": size.median(), f"{name}_mean": size.mean(), f"{name}_worst": size.max()}
    return {k: float(v) for k, v in found.items()}


def _f1(counts: Counts) -> float:
    return precision_recall_f1(*(int(c) for c in counts))[2]


def _row(counts: Counts) -> dict[str, float]:
    right, wrong, missed = (int(c) for c in counts)
    precision, recall, f1 = precision_recall_f1(right, wrong, missed)
    return {"tp": right, "fp": wrong, "fn": missed, "precision": precision, "recall": recall, "f1": f1}


def _scores(counts: Counts) -> pd.DataFrame:
    """A row per cut-off of counts (cut-offs, 3)."""
    return pd.DataFrame([{"iou": cutoff, **_row(c)} for cutoff, c in zip(CUTOFFS, counts, strict=True)])
