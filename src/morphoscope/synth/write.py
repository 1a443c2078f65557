"""Put a synthetic video and its truth into a folder that `analyze` and `evaluate` read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from morphoscope.calibration import Calibration
from morphoscope.synth.loops import LoopScene, LoopVideo

THICKNESS_NM = 75.0


def write_video(
    scene: LoopScene | LoopVideo,
    folder: str | Path,
    *,
    labelled: int = 8,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write a scene with its truth and return `folder`.

    Files: `video.mp4` (H.264, high quality; an odd last row or column is left out), `truth.parquet` (a row per visible
    loop per frame), `shifts.parquet`, `loops.parquet` (a row per loop), `counts.csv` (frame, count, size_median_nm),
    `recipe.toml` (the calibration; give it to `analyze`), and for `evaluate` `labelled/*.png` (that many frames, evenly
    spaced) with `boxes.csv` and `labels.toml`.

    Args:
        scene: the scene, or its video.
        folder: made where it is missing.
        labelled: frames written as labelled pictures; those without a visible loop are left out.
        progress: called with (frames done, frames in all).
    """
    video = scene if isinstance(scene, LoopVideo) else LoopVideo(scene)
    folder = Path(folder)
    (folder / "labelled").mkdir(parents=True, exist_ok=True)
    picked = {int(i) for i in np.linspace(0, len(video) - 1, max(1, min(labelled, len(video))))} if labelled else set()
    boxes = []

    def drawn(i: int) -> NDArray[np.uint8]:
        image = video[i]
        if i in picked and len(video.truth_at(i)):
            name = f"labelled/frame{i:05d}.png"
            cv2.imwrite(str(folder / name), image)
            boxes.append(_boxes(video.truth_at(i), name))
        if progress:
            progress(i + 1, len(video))
        return image

    write_mp4(folder / "video.mp4", (drawn(i) for i in range(len(video))), video.shape)
    if boxes:
        pd.concat(boxes, ignore_index=True).to_csv(folder / "boxes.csv", index=False)
        (folder / "labels.toml").write_text('file = "boxes.csv"\n', encoding="utf-8")
    video.truth.to_parquet(folder / "truth.parquet", index=False)
    video.shifts.to_parquet(folder / "shifts.parquet", index=False)
    video.loops.to_parquet(folder / "loops.parquet", index=False)
    counts(video).to_csv(folder / "counts.csv", index=False)
    (folder / "recipe.toml").write_text(recipe_text(video.calibration), encoding="utf-8")
    return folder


def write_mp4(path: Path, images: Iterable[NDArray[np.uint8]], shape: tuple[int, int]) -> None:
    """Grey pictures (height, width) of a shape as H.264 of high quality; an odd last row or column is left out."""
    height, width = shape[0] // 2 * 2, shape[1] // 2 * 2
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(15), options={"crf": "14", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for image in images:
            colour = np.repeat(image[:height, :width, None], 3, axis=2)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(colour, format="rgb24")))
        container.mux(stream.encode(None))


def counts(video: LoopVideo) -> pd.DataFrame:
    """The true `frame`, `count` and `size_median_nm` of each frame."""
    truth = video.truth
    sizes = truth.groupby("frame")["major_px"].median() * video.scene.pixel_size_nm
    table = pd.DataFrame({"frame": np.arange(len(video))})
    table["count"] = table["frame"].map(truth["frame"].value_counts()).fillna(0).astype("int64")
    return table.assign(size_median_nm=table["frame"].map(sizes).round(3))


def recipe_text(calibration: Calibration) -> str:
    """A recipe (TOML) that states this calibration, the foil thickness and that the true counts lie beside it."""
    size = calibration.mean_pixel_nm
    lines = ["# what the video does not say about itself", "[calibration]", f"pixel_size_nm = {size!r}"]
    lines.append(f"frame_interval_s = {calibration.frame_interval_s!r}")
    for axis in calibration.axes:
        lines += ["", "[[calibration.axes]]", f'name = "{axis.name}"', f'unit = "{axis.unit}"']
        lines += [f"start = {axis.start!r}", f"step = {axis.step!r}"]
    lines += ["", "[physics]", f"thickness_nm = {THICKNESS_NM}", 'truth = "counts.csv"', ""]
    return "\n".join(lines)


def _boxes(truth: pd.DataFrame, name: str) -> pd.DataFrame:
    half_width, half_height = truth["width_px"] / 2, truth["height_px"] / 2
    corners = {
        "x0": truth["x_px"] - half_width,
        "y0": truth["y_px"] - half_height,
        "x1": truth["x_px"] + half_width,
        "y1": truth["y_px"] + half_height,
    }
    return pd.DataFrame({"file": name, "label": "loop", **{k: v.round(2) for k, v in corners.items()}})
