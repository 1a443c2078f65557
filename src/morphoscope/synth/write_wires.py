"""Put drawn wires, with their truth, into a folder that `orient` reads."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import tifffile
from numpy.typing import NDArray

from morphoscope.errors import UsageError
from morphoscope.measure.alignment import RADIUS_PX, order_parameter
from morphoscope.synth.wire_scene import WireScene, random_wires
from morphoscope.synth.wires import WirePicture

Tell = Callable[[int, int], None]
HEAD = "# drawn wires: what the pictures do not say about themselves"
FOLDERS = ("image", "mask", "aligned", "orientation")


def independent_wires(seed: int, count: int, **settings: Any) -> list[WireScene]:
    """Wires that have nothing to do with each other, each picture under a random microscope; `settings` win."""
    return [random_wires(seed * 100_000 + k, **settings) for k in range(count)]


def write_wires(
    scenes: Sequence[WireScene], folder: str | Path, *, radius_px: float = RADIUS_PX, progress: Tell | None = None
) -> Path:
    """Write pictures of wires with their truth and return `folder`.

    Files: `image/<number>.tif` (with its pixel size), `mask/<number>.png` (255 where wires are), `aligned/<number>.png` (255
    where coherently aligned ones are, see `measure.alignment`), `orientation/<number>.tif` (degrees 0 to 180 counter-clockwise
    from the x axis as seen, nan off the wires), `truth.csv` (file, `aligned_fraction` of the wires' area, `wire_share` and
    `aligned_share` of the picture, order parameter `S2`, main direction `director_deg`, `radius_px`), `recipe.toml`.

    Args:
        scenes: what to draw.
        folder: made where it is missing; what was drawn into it before is replaced.
        radius_px: of the neighbourhood in which wires count as aligned.
        progress: called with (pictures done, pictures in all).

    Raises:
        UsageError: there is nothing to draw.
    """
    if not scenes:
        raise UsageError("there are no wires to draw")
    folder, rows = _cleared(Path(folder)), []
    for k, scene in enumerate(scenes):
        picture, name = WirePicture(scene, radius_px=radius_px), f"{k + 1:03d}"
        _write_tiff(folder / "image" / f"{name}.tif", picture.image, scene.pixel_size_nm)
        _write_tiff(folder / "orientation" / f"{name}.tif", picture.orientation_deg, scene.pixel_size_nm)
        for kind, mask in (("mask", picture.mask), ("aligned", picture.aligned)):
            cv2.imwrite(str(folder / kind / f"{name}.png"), mask.astype(np.uint8) * 255)
        rows.append({"file": f"{name}.tif", **truth_row(picture)})
        if progress:
            progress(k + 1, len(scenes))
    pd.DataFrame(rows).to_csv(folder / "truth.csv", index=False)
    lines = [HEAD, "[calibration]", 'scale_bar = "off"', "", "[orient]", f"radius_px = {float(radius_px)}", ""]
    (folder / "recipe.toml").write_text("\n".join(lines), encoding="utf-8")
    return folder


def truth_row(picture: WirePicture) -> dict[str, float]:
    """What is true of a picture; null where there are no wires."""
    order = order_parameter(picture.field, picture.mask)
    return {
        "aligned_fraction": round(picture.aligned_fraction, 6),
        "wire_share": round(float(picture.mask.mean()), 6),
        "aligned_share": round(float(picture.aligned.mean()), 6),
        "S2": round(order.s2, 6),
        "director_deg": round(order.director_deg, 3),
        "radius_px": picture.radius_px,
    }


def _write_tiff(path: Path, image: NDArray[Any], pixel_size_nm: float) -> None:
    settings: dict[str, Any] = {"imagej": True, "resolution": (1 / pixel_size_nm, 1 / pixel_size_nm), "metadata": {"unit": "nm"}}
    tifffile.imwrite(path, image, compression="zlib", **settings)


def _cleared(folder: Path) -> Path:
    """The folder, made where it is missing, without what was drawn into it before."""
    folder.mkdir(parents=True, exist_ok=True)
    recipe = folder / "recipe.toml"
    if recipe.is_file() and recipe.read_text(encoding="utf-8").startswith(HEAD):
        for name in FOLDERS:
            shutil.rmtree(folder / name, ignore_errors=True)
        for name in ("truth.csv", "recipe.toml"):
            (folder / name).unlink(missing_ok=True)
    for name in FOLDERS:
        (folder / name).mkdir(exist_ok=True)
    return folder
