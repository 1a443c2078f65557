"""The built-in sample: a synthetic video with known truth, analysed, and what was found held against what is there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from morphoscope.evaluate import corners
from morphoscope.measure.matching import iou_matrix, match_greedy, precision_recall_f1
from morphoscope.pipeline import Run, analyze
from morphoscope.pipeline.stages import Finder
from morphoscope.pipeline.stream import Progress
from morphoscope.recipe import load_recipe
from morphoscope.synth.loops import LoopScene
from morphoscope.synth.write import THICKNESS_NM, write_video

IOU = 0.15
CLEAR: dict[str, Any] = {"contrast": 1.05, "texture_sd": 16.0, "size_px": 21.0}  # plainer than the video the model learnt
SETTLED = 0.25  # last share of the frames that density is averaged over


@dataclass(frozen=True)
class Check:
    """One line of the table: what was found, what is true, and how far apart they may be."""

    name: str
    found: float
    true: float
    unit: str
    error: float
    limit: float
    relative: bool = True

    @property
    def passed(self) -> bool:
        """Whether the error is within the limit."""
        return bool(self.error <= self.limit)


def run_demo(
    folder: Path,
    seed: int,
    *,
    n_frames: int = 150,
    shape: tuple[int, int] = (400, 560),
    overwrite: bool = False,
    detector: Finder | None = None,
    progress: Progress | None = None,
) -> tuple[Run, list[Check]]:
    """Draw a video into `folder/sample`, analyse it into `folder/run`, and compare.

    Args:
        folder: made where it is missing.
        seed: the same seed gives the same video.
        n_frames: length of the video.
        shape: (height, width) in px.
        overwrite: replace an earlier demo's run there.
        detector: used instead of the shipped model.
        progress: see `pipeline.analyze`.
    """
    scene = LoopScene(seed=seed, n_frames=n_frames, shape=shape, **CLEAR)
    sample = write_video(scene, folder / "sample")
    recipe = load_recipe(sample / "recipe.toml")
    run = analyze(sample / "video.mp4", recipe, folder / "run", overwrite=overwrite, detector=detector, progress=progress)
    truth, shifts = (pd.read_parquet(sample / f"{name}.parquet") for name in ("truth", "shifts"))
    return run, compare(run, truth, shifts, min_points=recipe.track.min_points, shape=shape)


def compare(run: Run, truth: pd.DataFrame, shifts: pd.DataFrame, *, min_points: int, shape: tuple[int, int]) -> list[Check]:
    """What a run found against the truth of a synthetic video (`LoopVideo.truth`, `LoopVideo.shifts`)."""
    objects, frames = run.objects, run.frames
    nm = run.info["calibration"]["pixel_size_nm"][0]
    number = frames["frame"].to_numpy()
    true_count = truth["frame"].value_counts().reindex(number, fill_value=0).to_numpy(float)
    true_size = truth.groupby("frame")["major_px"].median().reindex(number).to_numpy(float) * nm
    size = frames["size_median_nm"].to_numpy(float)
    late = slice(int(len(number) * (1 - SETTLED)), None)
    volume_cm3 = shape[0] * shape[1] * nm**2 * THICKNESS_NM * 1e-21
    known_tracks = int((truth["object_id"].value_counts() >= min_points).sum())
    return [
        relative("objects per frame, mean", float(frames["count"].mean()), float(true_count.mean()), "", 0.25),
        relative(
            "density at the end",
            float(frames["density"][late].mean()),
            float(true_count[late].mean() / volume_cm3),
            "cm^-3",
            0.2,
        ),
        relative("median size, mean over frames", _mean(size), _mean(true_size), "nm", 0.15),
        _drift(frames, shifts.set_index("frame").loc[number]),
        relative("tracks", float(len(run.tracks)), float(known_tracks), "", 0.5),
        *_agreement(objects, truth),
    ]


def _mean(values: NDArray[np.float64]) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if finite.size else 0.0


def relative(name: str, found: float, true: float, unit: str, limit: float) -> Check:
    """A line whose error is a share of the true value."""
    return Check(name, found, true, unit, abs(found - true) / true if true else float(found != true), limit)


def _drift(frames: pd.DataFrame, true: pd.DataFrame) -> Check:
    columns = ["shift_x_px", "shift_y_px"]
    known = true[columns].to_numpy(float)
    known = known - known[0]
    found = frames[columns].to_numpy(float)
    error = float(np.sqrt(((found - known) ** 2).sum(axis=1).mean()))
    return Check(
        "drift at the end (error: rms)",
        float(np.hypot(*found[-1])),
        float(np.hypot(*known[-1])),
        "px",
        error,
        3.0,
        relative=False,
    )


def _agreement(objects: pd.DataFrame, truth: pd.DataFrame) -> list[Check]:
    """Precision, recall and F1: a count alone looks right where as many objects are missed as are made up."""
    true_boxes = dict(tuple(truth.groupby("frame")))
    found_boxes = dict(tuple(objects.groupby("frame")))
    matched = 0
    for frame, found in found_boxes.items():
        if frame in true_boxes:
            matched += len(match_greedy(iou_matrix(corners(found), corners(true_boxes[frame])), IOU))
    scores = precision_recall_f1(matched, len(objects) - matched, len(truth) - matched)
    limits = (("precision", 0.3), ("recall", 0.3), ("F1", 0.25))
    return [
        Check(f"{n} at IoU {IOU}", float(s), 1.0, "", 1 - float(s), limit) for s, (n, limit) in zip(scores, limits, strict=True)
    ]
