"""The folder `evaluate` writes: tables, metrics.json, figures, pictures of truth and detections."""

from __future__ import annotations

import json
import math
from pathlib import Path

from morphoscope.calibration import Calibration
from morphoscope.evaluate import MAIN_CUTOFF, Evaluation, counted, pairs_of, score_images
from morphoscope.io.labels import LabelledImages
from morphoscope.models.detect import Detector
from morphoscope.report import evaluation as figures
from morphoscope.report.style import save_figure


def write_evaluation(
    folder: Path,
    result: Evaluation,
    detector: Detector,
    data: LabelledImages,
    *,
    threshold: float | None = None,
    calibration: Calibration | None = None,
) -> None:
    """Write all tables as CSV, metrics.json, the figures and a picture per image.

    Args:
        folder: made if it is not there.
        result: what `evaluate_detector` gave.
        detector: draws the pictures once more, one image in memory at a time.
        data: the labelled images.
        threshold: as in `evaluate_detector`.
        calibration: gives nm.
    """
    calibration = calibration or Calibration()
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("frames", "by_iou", "by_iou_frame", "by_size", "noise"):
        table = getattr(result, name)
        if len(table):
            table.to_csv(folder / f"{name}.csv", index=False)
    clean = {k: v if math.isfinite(v) else None for k, v in result.metrics.items()}
    (folder / "metrics.json").write_text(json.dumps(clean, indent=2) + "\n", encoding="utf-8")
    _figures(folder / "figures", result, calibration)
    images = score_images(lambda image: detector.detect([image], threshold=threshold)[0], data)
    for one in map(counted, images):
        picture = figures.matched_boxes(
            one.image, one.found, one.truth, pairs_of(one, MAIN_CUTOFF), title=one.file, calibration=calibration
        )
        save_figure(picture, folder / "pictures", _picture_name(one.file))


def _picture_name(file: str) -> str:
    """One name for each image, also where folders hold files of the same name."""
    return "-".join(part for part in Path(file).with_suffix("").parts if part not in ("..", Path(file).anchor))


def _figures(folder: Path, result: Evaluation, calibration: Calibration) -> None:
    save_figure(figures.f1_vs_iou(result.by_iou, per_frame=result.by_iou_frame), folder, "f1_vs_iou")
    factor, unit = (calibration.mean_pixel_nm, "nm") if calibration.has_scale else (1.0, "px")
    by_size = result.by_size.assign(size_low=result.by_size["size_low"] * factor, size_high=result.by_size["size_high"] * factor)
    smallest = {f"smallest_{k}": result.metrics[f"smallest_{k}_px"] * factor for k in ("reliable", "labelled")}
    save_figure(figures.recall_by_size(by_size, unit=unit, **smallest), folder, "recall_by_size")
    if len(result.noise):
        save_figure(figures.noise_robustness(result.noise), folder, "noise_robustness")
