"""Put drawn films, with their truth, into a folder that `score`, `train score` and `evaluate` read."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pandas as pd
import tifffile

from morphoscope.errors import UsageError
from morphoscope.synth.film_scene import FilmScene, random_film
from morphoscope.synth.films import FilmPicture

Tell = Callable[[int, int], None]
HEAD = "# drawn films: what the pictures do not say about themselves"
STEP_S = 30.0  # between two pictures of a series
AVRAMI = 2.5  # exponent of the kinetics of dewetting: holes that start all along would have 3, all at once 2
MICROSCOPE = (
    *("shape", "field", "objective", "film", "substrate", "thickness_nm", "haze", "grain"),
    *("exposure", "balance", "vignetting", "defocus_px", "noise"),
)
RATIOS, MINUTES = (0.0, 1.0), (5.0, 60.0)  # ends of the two conditions of a surface


class Films(NamedTuple):
    """Scenes of pictures and a row of conditions for each (without columns: none)."""

    scenes: list[FilmScene]
    conditions: pd.DataFrame


def independent_films(seed: int, count: int, **settings: Any) -> Films:
    """Films that have nothing to do with each other, each with random defects under a random microscope."""
    scenes = [random_film(seed * 100_000 + k, **settings) for k in range(count)]
    return Films(scenes, pd.DataFrame(index=range(count)))


def films_alike(seed: int, like: FilmScene, count: int) -> Films:
    """Films with random defects, of the material and under the microscope of another one."""
    return independent_films(seed, count, **_same(like))


def film_series(seed: int, count: int, *, most: float = 0.85, like: FilmScene | None = None, **settings: Any) -> Films:
    """One film that dewets under the camera; `time_s` is its condition. `like`: see `films_alike`.

    The bare share follows 1 - exp(-(t / tau)^n) (Avrami, J. Chem. Phys. 7 (1939) 1103) up to `most`.
    """
    time = np.arange(count) * STEP_S
    tau = max(time[-1], STEP_S) / 1.6
    share = most * (1 - np.exp(-((time / tau) ** AVRAMI))) / (1 - np.exp(-(1.6**AVRAMI)))
    given: dict[str, Any] = (
        {"cracks": None, "scratches": 1, "particles_per_mm2": 25.0, "unevenness": 0.03} | _same(like) | settings
    )
    first = random_film(seed, **given)
    scenes = [replace(first, dewetting=float(s), shot=k) for k, s in enumerate(share)]
    return Films(scenes, pd.DataFrame({"time_s": time}))


def film_surface(seed: int, grid: tuple[int, int], *, like: FilmScene | None = None, **settings: Any) -> Films:
    """A film for each pair of `ratio` (of a dopant) and `anneal_min` (minutes): other places, the same material and microscope.

    `like`: see `films_alike`.

    Raises:
        UsageError: fewer than two values of a condition.
    """
    if min(grid) < 2:
        raise UsageError(f"a surface needs at least two values of each condition, got {grid[0]} x {grid[1]}")
    ratios, minutes = np.linspace(*RATIOS, grid[0]), np.linspace(*MINUTES, grid[1])
    table = pd.DataFrame([(r, m) for m in minutes for r in ratios], columns=["ratio", "anneal_min"])
    given: dict[str, Any] = {"cracks": None, "scratches": 0, "unevenness": 0.03, "mechanism": "holes"} | _same(like) | settings
    first = random_film(seed, **given)
    bare = dewetting_surface(table["ratio"].to_numpy(), table["anneal_min"].to_numpy())
    scenes = [replace(first, seed=seed * 100_000 + k, dewetting=float(share)) for k, share in enumerate(bare)]
    return Films(scenes, table)


def _same(like: FilmScene | None) -> dict[str, Any]:
    return {name: getattr(like, name) for name in MICROSCOPE} if like else {}


def dewetting_surface(ratio: Any, anneal_min: Any) -> Any:
    """The bare share that films of `film_surface` have at a ratio and minutes of annealing: a ridge that rises with both."""
    warm = (np.asarray(anneal_min) - MINUTES[0]) / (MINUTES[1] - MINUTES[0])
    ridge = np.exp(-0.5 * ((np.asarray(ratio) - 0.75 + 0.25 * warm) / 0.3) ** 2)
    return 0.03 + 0.82 * ridge * (0.25 + 0.75 * warm**1.5)


def write_films(films: Films, folder: str | Path, *, progress: Tell | None = None) -> Path:
    """Write pictures of films with their truth and return `folder`.

    Files: `image/<number>.tif` (RGB, with its pixel size), `masks/<class>/<number>.png` (255 where the defect is; masks may
    overlap), `scores.csv` (file and the share of the area of each class), `conditions.csv` (file and the conditions, for films
    that have some), `recipe.toml`.

    Args:
        films: what to draw.
        folder: made where it is missing; what was drawn into it before is replaced.
        progress: called with (pictures done, pictures in all).

    Raises:
        UsageError: there is nothing to draw.
    """
    if not films.scenes:
        raise UsageError("there are no films to draw")
    folder = _cleared(Path(folder))
    rows = []
    for k, scene in enumerate(films.scenes):
        picture, name = FilmPicture(scene), f"{k + 1:03d}"
        _write_picture(folder / "image" / f"{name}.tif", picture)
        for kind, mask in picture.masks.items():
            path = folder / "masks" / kind / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), mask.astype(np.uint8) * 255)
        rows.append({"file": f"{name}.tif", **{kind: round(share, 6) for kind, share in picture.extents.items()}})
        if progress:
            progress(k + 1, len(films.scenes))
    scores = pd.DataFrame(rows)
    scores.to_csv(folder / "scores.csv", index=False)
    if len(films.conditions.columns):
        pd.concat([scores[["file"]], films.conditions], axis=1).to_csv(folder / "conditions.csv", index=False)
    (folder / "recipe.toml").write_text(f'{HEAD}\n[calibration]\nscale_bar = "off"\n', encoding="utf-8")
    return folder


def _write_picture(path: Path, picture: FilmPicture) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    per_um = 1000 / picture.scene.pixel_size_nm
    settings: dict[str, Any] = {"imagej": True, "resolution": (per_um, per_um), "metadata": {"unit": "um"}}
    tifffile.imwrite(path, picture.image, photometric="rgb", compression="zlib", **settings)


def _cleared(folder: Path) -> Path:
    """The folder, made where it is missing, without what was drawn into it before."""
    folder.mkdir(parents=True, exist_ok=True)
    recipe = folder / "recipe.toml"
    if recipe.is_file() and recipe.read_text(encoding="utf-8").startswith(HEAD):
        for name in ("image", "masks"):
            shutil.rmtree(folder / name, ignore_errors=True)
        for name in ("scores.csv", "conditions.csv", "recipe.toml"):
            (folder / name).unlink(missing_ok=True)
    return folder
