"""Put drawn pictures and videos of particles, with their truth, into a folder that `segment`, `train` and `evaluate` read."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import tifffile
from numpy.typing import NDArray

from morphoscope.synth.particle_scene import ParticleScene
from morphoscope.synth.particle_video import ParticleVideo
from morphoscope.synth.particles import ParticlePicture
from morphoscope.synth.write import write_mp4

Tell = Callable[[int, int], None]
MEMORY = 4  # frames: nothing is hidden for long in a drawn video, and what is gone has merged or left
LARGER = 1.25  # ratio of the median diameters of one sample and the one before
HEAD = "# what the pictures do not say about themselves, and how they are to be read"
TABLES = ("tracks.csv", "events.csv", "shifts.csv", "counts.csv")
WRITTEN = ("truth.parquet", "samples.csv", "conditions.csv", "video.mp4", "instances.tif", *TABLES)
CONDITIONS = ("look", "pixel_size_nm", "coverage", "touching", "contrast", "dose", "blur_px", "gradient")


def sample_scenes(scene: ParticleScene, count: int) -> dict[str, ParticleScene]:
    """Scenes of samples a, b, ...: each of another seed, with a median diameter `LARGER` times that of the one before."""
    return {
        chr(ord("a") + k): replace(scene, seed=scene.seed * 26 + k, median_nm=scene.median_nm * LARGER**k) for k in range(count)
    }


def write_pictures(
    scenes: dict[str, ParticleScene], folder: str | Path, *, places: int = 4, progress: Tell | None = None
) -> Path:
    """Write fields of view of samples with their truth and return `folder`.

    Files: `image/<sample>-<place>.tif` (with its pixel size), `instances/` (label images of the same names), `truth.parquet` (a
    row per particle, see `particles.truth_rows`), `samples.csv` (file, sample, and the population of that sample: median_nm,
    geometric_sd, mean_nm, place_spread), `conditions.csv` (how each was taken), `recipe.toml`.

    Args:
        scenes: a scene per sample, by name.
        folder: made where it is missing.
        places: fields of view per sample.
        progress: called with (pictures done, pictures in all).
    """
    folder = _cleared(Path(folder))
    truth, samples, conditions = [], [], []
    for sample, scene in scenes.items():
        for place in range(places):
            picture = ParticlePicture(scene, place=place)
            name = f"{sample}-{place + 1:02d}.tif"
            write_tiff(folder / "image" / name, picture.image, scene.pixel_size_nm)
            write_tiff(folder / "instances" / name, picture.labels.astype(label_kind(picture.labels.max())), scene.pixel_size_nm)
            truth.append(picture.truth.assign(file=name, sample=sample))
            samples.append({"file": name, "sample": sample, **population(scene)})
            conditions.append({"file": name, **{key: getattr(scene, key) for key in CONDITIONS}})
            if progress:
                progress(len(samples), len(scenes) * places)
    table = pd.concat(truth, ignore_index=True)
    table.assign(object_id=np.arange(len(table))).to_parquet(folder / "truth.parquet", index=False)
    pd.DataFrame(samples).to_csv(folder / "samples.csv", index=False)
    pd.DataFrame(conditions).to_csv(folder / "conditions.csv", index=False)
    first = next(iter(scenes.values()))
    (folder / "recipe.toml").write_text(_recipe(first, {"frames": {"series": False, "samples": "samples.csv"}}), encoding="utf-8")
    return folder


def population(scene: ParticleScene) -> dict[str, float]:
    """The log-normal population that diameters (area-equivalent) of a scene are drawn from."""
    spread = np.log(scene.geometric_sd)
    mean = scene.median_nm * np.exp((spread**2 + scene.place_spread**2) / 2)
    return {
        "median_nm": scene.median_nm,
        "geometric_sd": scene.geometric_sd,
        "mean_nm": round(float(mean), 6),
        "place_spread": scene.place_spread,
    }


def write_particle_video(video: ParticleVideo, folder: str | Path, *, labelled: int = 8, progress: Tell | None = None) -> Path:
    """Write a video with its truth and return `folder`.

    Files: `video.mp4` (an odd last row or column is left out), `instances.tif` (a label page per frame, 1 + `object_id`),
    `truth.parquet` (a row per particle and frame), `tracks.csv` (a row per particle: frames, what it merged into, D, growth),
    `events.csv` (merges), `shifts.csv` (the camera), `counts.csv`, `recipe.toml`; and for `train segment` and `evaluate`
    `image/` and `instances/` with that many frames, evenly spaced.

    Args:
        video: the video.
        folder: made where it is missing.
        labelled: frames written as pictures with label images.
        progress: called with (frames done, frames in all).
    """
    folder, scene = _cleared(Path(folder)), video.scene
    picked = {int(i) for i in np.linspace(0, len(video) - 1, max(1, min(labelled, len(video))))} if labelled else set()
    height, width = scene.shape[0] // 2 * 2, scene.shape[1] // 2 * 2
    kind = label_kind(video.truth["mask_label"].max())

    def labels(i: int) -> NDArray[Any]:
        return video.labels(i)[:height, :width].astype(kind)

    def drawn(i: int) -> NDArray[np.uint8]:
        image = video[i]
        if i in picked:
            name = f"frame{i:05d}.tif"
            write_tiff(folder / "image" / name, image[:height, :width], scene.pixel_size_nm)
            write_tiff(folder / "instances" / name, labels(i), scene.pixel_size_nm)
        if progress:
            progress(i + 1, len(video))
        return image

    write_mp4(folder / "video.mp4", (drawn(i) for i in range(len(video))), scene.shape)
    pages = Pages((len(video), height, width), kind, labels)
    write_tiff(folder / "instances.tif", pages, scene.pixel_size_nm)
    video.truth.assign(file="video.mp4").to_parquet(folder / "truth.parquet", index=False)
    for name, table in (("tracks", video.tracks), ("events", video.merges), ("shifts", video.shifts), ("counts", counts(video))):
        table.to_csv(folder / f"{name}.csv", index=False)
    extra: dict[str, dict[str, Any]] = {
        "calibration": {"frame_interval_s": scene.frame_interval_s},
        "track": {"events": scene.motion == "coalescence", "memory": MEMORY},
    }
    (folder / "recipe.toml").write_text(_recipe(scene, extra | {"physics": {"truth": "counts.csv"}}), encoding="utf-8")
    return folder


def counts(video: ParticleVideo) -> pd.DataFrame:
    """The true `frame`, `count` (centre in the field) and `size_median_nm` (major axis) of each frame."""
    height, width = video.shape
    truth = video.truth[video.truth["x_px"].between(-0.5, width - 0.5) & video.truth["y_px"].between(-0.5, height - 0.5)]
    table = pd.DataFrame({"frame": np.arange(len(video))})
    table["count"] = table["frame"].map(truth["frame"].value_counts()).fillna(0).astype("int64")
    return table.assign(size_median_nm=table["frame"].map(truth.groupby("frame")["major_nm"].median()).round(3))


def label_kind(highest: float) -> type[np.uint16] | type[np.int32]:
    """The dtype of label images with labels up to this one; none (not a number) where nothing shows."""
    return np.int32 if highest > np.iinfo(np.uint16).max else np.uint16


class Pages(NamedTuple):
    """Pages of a TIFF, drawn one at a time: (n, h, w), dtype, and what gives a page."""

    shape: tuple[int, int, int]
    dtype: type[np.generic]
    page: Callable[[int], NDArray[Any]]


def write_tiff(path: Path, image: NDArray[Any] | Pages, pixel_size_nm: float) -> None:
    """A picture (h, w) or pages (n, h, w) as TIFF that carries its pixel size as ImageJ does (32-bit labels: none)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    settings: dict[str, Any] = {"compression": "zlib"}
    if image.dtype != np.int32:
        axes = "TYX" if len(image.shape) == 3 else "YX"
        resolution = (1 / pixel_size_nm, 1 / pixel_size_nm)
        settings |= {"imagej": True, "resolution": resolution, "metadata": {"axes": axes, "unit": "nm"}}
    if isinstance(image, Pages):
        pages = (image.page(i) for i in range(image.shape[0]))
        tifffile.imwrite(path, pages, shape=image.shape, dtype=image.dtype, rowsperstrip=image.shape[1], **settings)
    else:
        tifffile.imwrite(path, image, **settings)


def _cleared(folder: Path) -> Path:
    """The folder, made where it is missing, without what was drawn into it before."""
    folder.mkdir(parents=True, exist_ok=True)
    recipe = folder / "recipe.toml"
    if recipe.is_file() and recipe.read_text(encoding="utf-8").startswith(HEAD):
        for name in ("image", "instances"):
            shutil.rmtree(folder / name, ignore_errors=True)
        for name in (*WRITTEN, "recipe.toml"):
            (folder / name).unlink(missing_ok=True)
    return folder


def _recipe(scene: ParticleScene, extra: dict[str, dict[str, Any]]) -> str:
    """A recipe (TOML): the scale, how particles look, and further settings."""
    sections: dict[str, dict[str, Any]] = {"calibration": {"pixel_size_nm": scene.pixel_size_nm}}
    if not scene.bar:
        sections["calibration"]["scale_bar"] = "off"
    for name, values in extra.items():
        sections[name] = {**sections.get(name, {}), **values}
    lines = [HEAD]
    for name, values in sections.items():
        lines += [f"[{name}]", *(f"{key} = {_toml(value)}" for key, value in values.items()), ""]
    return "\n".join(lines)


def _toml(value: bool | str | float) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f'"{value}"' if isinstance(value, str) else repr(value)
