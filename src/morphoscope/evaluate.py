"""How good a detector is on labelled images: the task's tables and metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from morphoscope.calibration import Calibration
from morphoscope.io.labels import LabelledImages
from morphoscope.io.open import open_frames
from morphoscope.measure.geometry import measure_ellipses
from morphoscope.measure.matching import match_boxes, precision_recall_f1
from morphoscope.models.detect import Detector
from morphoscope.recipe import Region
from morphoscope.synth.noise import LEVELS, add_noise

CUTOFFS = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75)
MAIN_CUTOFF = 0.15
RELIABLE = 0.8
Image = NDArray[Any]
Finder = Callable[[Image], pd.DataFrame]


@dataclass(frozen=True)
class Scored:
    """One image with its truth, its detections and the region whose objects count."""

    file: str
    image: Image
    truth: pd.DataFrame
    found: pd.DataFrame
    region: Region


@dataclass(frozen=True)
class Evaluation:
    """Tables of an evaluation.

    `frames`: a row per image; `by_iou`: pooled scores at each IoU cut-off; `by_iou_frame`: the same per image; `by_size`:
    recall by true size; `noise`: F1 under added noise (empty where not asked for); `metrics`: the headline numbers.
    """

    frames: pd.DataFrame
    by_iou: pd.DataFrame
    by_iou_frame: pd.DataFrame
    by_size: pd.DataFrame
    noise: pd.DataFrame
    metrics: dict[str, float]


def corners(boxes: pd.DataFrame) -> NDArray[np.float64]:
    """(n, 4) x0, y0, x1, y1 of a table with x_px, y_px, width_px, height_px."""
    centre, half = boxes[["x_px", "y_px"]].to_numpy(float), boxes[["width_px", "height_px"]].to_numpy(float) / 2
    return np.hstack([centre - half, centre + half])


def truth_table(boxes: pd.DataFrame) -> pd.DataFrame:
    """Labelled boxes (label, x0, y0, x1, y1) as label, x_px, y_px, width_px, height_px."""
    return pd.DataFrame(
        {
            "label": boxes["label"].astype("str"),
            "x_px": (boxes["x0"] + boxes["x1"]) / 2,
            "y_px": (boxes["y0"] + boxes["y1"]) / 2,
            "width_px": (boxes["x1"] - boxes["x0"]).astype(float),
            "height_px": (boxes["y1"] - boxes["y0"]).astype(float),
        }
    ).reset_index(drop=True)


def score_images(find: Finder, data: LabelledImages, *, within: Region | None = None) -> Iterator[Scored]:
    """Each labelled image with its truth and what `find` detects in it, one in memory at a time.

    Args:
        find: image (h, w) to a detections table.
        data: images, boxes and the region they are complete in.
        within: only objects whose centre lies here count; None for the whole complete region.
    """
    for name, path in data.images.items():
        with open_frames(path) as frames:
            image = frames[0]
        truth = truth_table(data.boxes[data.boxes["file"] == name])
        region = within or data.complete_region or Region(x0=0, y0=0, x1=image.shape[1], y1=image.shape[0])
        yield Scored(name, image, truth, find(image), region)


def pairs_of(scored: Scored, cutoff: float) -> NDArray[np.int64]:
    """(n, 2) row numbers of detection and truth: one to one, same class, highest IoU of the whole matrix first."""
    found, truth = scored.found, scored.truth
    return match_boxes(corners(found), corners(truth), cutoff, classes=(found["label"].to_numpy(), truth["label"].to_numpy()))


def _inside(boxes: pd.DataFrame, region: Region, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    x = boxes["x_px"].clip(0, shape[1] - 1).to_numpy(float)
    y = boxes["y_px"].clip(0, shape[0] - 1).to_numpy(float)
    return np.asarray((x >= region.x0) & (x < region.x1) & (y >= region.y0) & (y < region.y1))


def counts_at(scored: Scored, cutoff: float) -> tuple[int, int, int]:
    """True positives, false positives and false negatives among objects whose centre lies in the region.

    Matching sees the whole image, so an object across the region's border is not counted as an error twice.
    """
    pairs = pairs_of(scored, cutoff)
    counted = _inside(scored.truth, scored.region, scored.image.shape)
    stray = _inside(scored.found, scored.region, scored.image.shape)
    stray[pairs[:, 0]] = False
    true = int(counted[pairs[:, 1]].sum())
    return true, int(stray.sum()), int(counted.sum()) - true


def counted(scored: Scored) -> Scored:
    """The same image with only what counts: objects in the region, and those matched with one of them."""
    pairs = pairs_of(scored, MAIN_CUTOFF)
    shape = scored.image.shape
    truth, found = _inside(scored.truth, scored.region, shape), _inside(scored.found, scored.region, shape)
    partners = pairs[truth[pairs[:, 1]] | found[pairs[:, 0]]]
    found[partners[:, 0]], truth[partners[:, 1]] = True, True
    return replace(scored, truth=scored.truth[truth].reset_index(drop=True), found=scored.found[found].reset_index(drop=True))


def _row(counts: NDArray[np.int64]) -> dict[str, float]:
    tp, fp, fn = (int(c) for c in counts)
    precision, recall, f1 = precision_recall_f1(tp, fp, fn)
    return {"tp": tp, "fp": fp, "fn": fn, "precision": precision, "recall": recall, "f1": f1}


def frame_row(scored: Scored, truth: pd.DataFrame, found: pd.DataFrame) -> dict[str, Any]:
    """Count and median size of one image, found and true, and their relative errors; the tables hold what counts, with sizes."""
    size, true_size = found["major_px"].median(), truth["major_px"].median()
    return {
        "file": scored.file,
        "n_true": len(truth),
        "n_found": len(found),
        "count_error": (len(found) - len(truth)) / len(truth) if len(truth) else np.nan,
        "size_median_true_px": true_size,
        "size_median_px": size,
        "size_error": (size - true_size) / true_size,
    }


def above(scored: Scored, threshold: float) -> Scored:
    """The same image with only the detections of at least that score."""
    return replace(scored, found=scored.found[scored.found["score"] >= threshold].reset_index(drop=True))


def best_threshold(scored: Sequence[Scored], *, cutoff: float = MAIN_CUTOFF) -> float:
    """The score threshold (0.10 to 0.80 in steps of 0.025) with the highest pooled F1."""

    def pooled(threshold: float) -> float:
        total = sum((np.array(counts_at(above(one, threshold), cutoff)) for one in scored), np.zeros(3, np.int64))
        return _row(total)["f1"]

    return max((round(0.10 + 0.025 * k, 3) for k in range(29)), key=pooled)


def recall_by_size(sizes: NDArray[np.float64], hit: NDArray[np.bool_], *, bins: int = 8) -> pd.DataFrame:
    """Recall in bins of equal numbers of true objects: size_low, size_high (px), n, recall and its 95 % Wilson interval."""
    known = np.isfinite(sizes)
    sizes, hit = sizes[known], hit[known]
    if len(sizes) == 0:
        return pd.DataFrame(
            {c: pd.Series(dtype=float) for c in ("size_low", "size_high", "n", "recall", "recall_low", "recall_high")}
        )
    edges = np.unique(np.quantile(sizes, np.linspace(0, 1, bins + 1)))
    number = np.clip(np.searchsorted(edges, sizes, side="right") - 1, 0, max(len(edges) - 2, 0))
    rows = []
    for k in range(max(len(edges) - 1, 1)):
        inside = number == k
        n, found = int(inside.sum()), int(hit[inside].sum())
        interval = stats.binomtest(found, n).proportion_ci(method="wilson") if n else None
        low, high = (interval.low, interval.high) if interval else (np.nan, np.nan)
        upper = edges[min(k + 1, len(edges) - 1)]
        rows.append(
            {
                "size_low": edges[k],
                "size_high": upper,
                "n": n,
                "recall": found / n if n else np.nan,
                "recall_low": low,
                "recall_high": high,
            }
        )
    return pd.DataFrame(rows)


def smallest_reliable(by_size: pd.DataFrame) -> float:
    """Lower edge of the smallest size from which on every bin has a recall of at least 0.8; nan where the largest has not."""
    good = (by_size["recall"] >= RELIABLE).to_numpy()[::-1]
    run = int(np.argmin(good)) if not good.all() else len(good)
    return float(by_size["size_low"].iloc[-run]) if run else float("nan")


def _eight_bit(image: Image) -> NDArray[np.uint8]:
    if image.dtype == np.uint8:
        return image
    low, high = np.percentile(image, (0.1, 99.9))
    return np.asarray(np.clip((image - low) / max(high - low, 1e-12) * 255, 0, 255), np.uint8)


def noise_table(find: Finder, data: LabelledImages, *, within: Region | None = None, seed: int = 0) -> pd.DataFrame:
    """Pooled F1 at IoU 0.15 without and with noise: noise, level, f1, fall (relative to the clean images)."""
    rows: list[dict[str, Any]] = []
    for kind, level in (("none", 0.0), *LEVELS):
        rng = np.random.default_rng(seed)

        def noisy(image: Image, kind: str = kind, level: float = level, rng: np.random.Generator = rng) -> pd.DataFrame:
            plain = _eight_bit(image)
            return find(plain if kind == "none" else add_noise(plain, kind, level, rng))

        total = sum(
            (np.array(counts_at(s, MAIN_CUTOFF)) for s in score_images(noisy, data, within=within)), np.zeros(3, np.int64)
        )
        rows.append({"noise": kind, "level": level, "f1": _row(total)["f1"]})
    table = pd.DataFrame(rows)
    return table.assign(fall=1 - table["f1"] / table["f1"].iloc[0])


def summarise(scored: Sequence[Scored] | Iterator[Scored], *, min_objects: int = 1) -> Evaluation:
    """All tables but the noise table from scored images, one pass, only numbers kept.

    Args:
        scored: what `score_images` yields.
        min_objects: frames with fewer true objects are left out of the count and size errors.
    """
    frames, per_frame, sizes, hits = [], [], [], []
    totals = {cutoff: np.zeros(3, np.int64) for cutoff in CUTOFFS}
    for one in scored:
        counted = _inside(one.truth, one.region, one.image.shape)
        truth = measure_ellipses(one.image, one.truth)[counted]
        found = measure_ellipses(one.image, one.found[_inside(one.found, one.region, one.image.shape)])
        frames.append(frame_row(one, truth, found))
        for cutoff in CUTOFFS:
            counts = np.array(counts_at(one, cutoff))
            totals[cutoff] += counts
            per_frame.append({"file": one.file, "iou": cutoff, **_row(counts)})
        hit = np.zeros(len(one.truth), bool)
        hit[pairs_of(one, MAIN_CUTOFF)[:, 1]] = True
        sizes.append(truth["major_px"].to_numpy(float))
        hits.append(hit[counted])
    table = pd.DataFrame(frames)
    by_iou = pd.DataFrame([{"iou": cutoff, **_row(total)} for cutoff, total in totals.items()])
    all_sizes = np.concatenate(sizes) if sizes else np.zeros(0)
    by_size = recall_by_size(all_sizes, np.concatenate(hits) if hits else np.zeros(0, bool))
    metrics = _metrics(table, by_iou, by_size, all_sizes, min_objects)
    return Evaluation(table, by_iou, pd.DataFrame(per_frame), by_size, pd.DataFrame(), metrics)


def _metrics(
    frames: pd.DataFrame, by_iou: pd.DataFrame, by_size: pd.DataFrame, sizes: NDArray[np.float64], least: int
) -> dict[str, float]:
    at = by_iou.set_index("iou")
    main, half = at.loc[MAIN_CUTOFF], at.loc[0.5]
    dense = frames[frames["n_true"] >= least]
    count, size = dense["count_error"].abs(), dense["size_error"].abs()
    return {
        "f1": float(main["f1"]),
        "precision": float(main["precision"]),
        "recall": float(main["recall"]),
        "iou": MAIN_CUTOFF,
        "f1_at_0.5": float(half["f1"]),
        "n_images": float(len(frames)),
        "n_true": float(frames["n_true"].sum()),
        "n_found": float(frames["n_found"].sum()),
        "count_error_mean": float(count.mean()),
        "count_error_worst": float(count.max()),
        "count_error_std": float(dense["count_error"].std(ddof=1)),
        "size_error_mean": float(size.mean()),
        "size_error_worst": float(size.max()),
        "size_error_std": float(dense["size_error"].std(ddof=1)),
        "smallest_reliable_px": smallest_reliable(by_size) if len(by_size) else float("nan"),
        "smallest_labelled_px": float(np.nanmin(sizes)) if np.isfinite(sizes).any() else float("nan"),
    }


def evaluate_detector(
    detector: Detector,
    data: LabelledImages,
    *,
    threshold: float | None = None,
    noise: bool = False,
    min_objects: int = 1,
    calibration: Calibration | None = None,
) -> Evaluation:
    """Precision, recall and F1 over IoU cut-offs 0.05 to 0.75, count and size errors, recall by size, robustness against noise.

    Args:
        detector: a loaded model.
        data: labelled images; objects outside the complete region do not count.
        threshold: lowest score; None for the model's.
        noise: also fill the noise table (eight passes over the images).
        min_objects: see `summarise`.
        calibration: with a scale, sizes get their `_nm` twins.
    """

    def find(image: Image) -> pd.DataFrame:
        return detector.detect([image], threshold=threshold)[0]

    result = summarise(score_images(find, data), min_objects=min_objects)
    if noise:
        result = replace(result, noise=noise_table(find, data))
    return _with_nm(result, calibration.mean_pixel_nm) if calibration and calibration.has_scale else result


def _with_nm(result: Evaluation, pixel: float) -> Evaluation:
    sizes = {f"{name}_nm": result.frames[f"{name}_px"] * pixel for name in ("size_median", "size_median_true")}
    marks = {f"{name}_nm": result.metrics[f"{name}_px"] * pixel for name in ("smallest_reliable", "smallest_labelled")}
    return replace(result, frames=result.frames.assign(**sizes), metrics={**result.metrics, **marks})
