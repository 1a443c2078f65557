"""Independent images, each with its own size, info bar and scale: a plan for each, and nm by the scale of each."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from morphoscope.calibration import Calibration
from morphoscope.io.frames import StatingFrames
from morphoscope.measure.info_bar import find_info_bar
from morphoscope.models.card import ModelCard
from morphoscope.pipeline.height_maps import ground_warnings
from morphoscope.pipeline.scale import settle_scale
from morphoscope.pipeline.stages import Image, Plan, make_plan
from morphoscope.recipe import Recipe

SIZE_Y, SIZE_X, VALID = "pixel_y_nm", "pixel_x_nm", "own_valid_px"  # columns that the parts of independent images have
WARNINGS = "own_warnings"
BOX = ("own_x0", "own_y0", "own_x1", "own_y1")
SMALLEST_VIEW = 16  # px; a picture that is smaller shows no field of view worth the name


@dataclass
class Views:
    """Makes the plan of each of the independent images of an input, and gathers what is to be said of their scales."""

    frames: StatingFrames
    recipe: Recipe
    card: ModelCard
    rim: int = 0
    heights: bool = False
    warnings: dict[int, tuple[str, ...]] = field(default_factory=dict)
    doubts: Callable[[Image, Plan], tuple[str, ...]] | None = None

    def plan(self, number: int, image: Image) -> Plan:
        """The plan of an image (h, w): its own region, info bar and scale.

        Raises:
            RecipeError: the region reaches outside the image.
            InputError: its scale was to come from its scale bar, and cannot.
            ModelError: its scale does not fit the model.
        """
        known, metadata = self.frames.stated(number)
        scale = settle_scale(self.recipe.calibrate(known), image, self.recipe.calibration.scale_bar)
        self.warnings[number] = (*scale.warnings, *_empty_view(image), *ground_warnings(image, self.recipe))
        bottom = info_bar(self.recipe, metadata, image)
        shape = (image.shape[0], image.shape[1])
        plan = make_plan(self.recipe, shape, scale.calibration, self.card, bottom=bottom, rim=self.rim)
        plan = replace(plan, heights=self.heights)
        if self.doubts is not None:
            self.warnings[number] += self.doubts(image, plan)
        return plan

    def row(self, number: int, plan: Plan) -> dict[str, Any]:
        """What of an image and its plan the results need, for the row of its frame."""
        return {**own_row(plan), WARNINGS: json.dumps(self.warnings[number])}

    def recall(self, frames: pd.DataFrame) -> None:
        """Take the warnings of images that were analysed before the run was broken off from their rows."""
        for number, warnings in zip(frames["frame"].tolist(), frames[WARNINGS], strict=True):
            self.warnings[number] = tuple(json.loads(warnings))

    def said(self) -> list[str]:
        """The warnings of all images, each once, with the first image it is about."""
        found: dict[str, list[int]] = {}
        for number in sorted(self.warnings):
            for warning in self.warnings[number]:
                found.setdefault(warning, []).append(number)
        return [
            f"{self.frames.name(numbers[0])}{f' and {len(numbers) - 1} more' if len(numbers) > 1 else ''}: {warning}"
            for warning, numbers in found.items()
        ]


def _empty_view(image: Image) -> tuple[str, ...]:
    """What is to be said of a picture (h, w) that shows nothing, and yet is a field of view with no object in it."""
    height, width = image.shape[:2]
    if float(np.ptp(image)) == 0:
        return ("the picture has one grey value only; it counts as a field of view without objects. Leave it out if it is none.",)
    if min(height, width) < SMALLEST_VIEW:
        return (f"the picture has only {width} x {height} px; it counts as a field of view. Leave it out if it is none.",)
    return ()


def info_bar(recipe: Recipe, metadata: Mapping[str, Any], picture: Image) -> int | None:
    """The row the info bar begins at, by the header or by the picture; None without one, or where the recipe names a region."""
    if recipe.frames.info_bar == "keep" or recipe.frames.region is not None:
        return None
    stated = metadata.get("image_height_px")
    return int(stated) if stated and 0 < int(stated) < picture.shape[0] else find_info_bar(picture)


def own_row(plan: Plan) -> dict[str, float]:
    """What of an image's plan the results need."""
    size_y, size_x = plan.calibration.pixel_size_nm or (np.nan, np.nan)
    return {SIZE_Y: size_y, SIZE_X: size_x, VALID: float(plan.valid_mask().sum()), **dict(zip(BOX, plan.field, strict=True))}


def common_calibration(known: Calibration, frames: pd.DataFrame) -> tuple[Calibration, list[str]]:
    """The calibration results of all images are told in, and what is to be said where their scales differ.

    With one scale that one; with several the median of them, which only stands for nm: each image is measured by its own. Images
    without one are told of by themselves alone, as px of unlike images must not be mixed.
    """
    sizes = frames[[SIZE_Y, SIZE_X]].dropna().drop_duplicates().to_numpy(float)
    bare = int(frames[SIZE_Y].isna().sum())
    if not len(sizes):
        return known, []
    left_out = (
        f"{bare} of {len(frames)} images have no scale: they are in objects and frames, in px, but not in sizes, densities and "
        "shapes of all images together. State their scale to have them there."
    )
    missing = [left_out] if bare else []
    if len(sizes) == 1:
        return replace(known, pixel_size_nm=(float(sizes[0, 0]), float(sizes[0, 1]))), missing
    typical = float(np.nanmedian(np.sqrt(frames[SIZE_Y] * frames[SIZE_X])))
    low, high = np.sqrt(sizes.prod(axis=1)).min(), np.sqrt(sizes.prod(axis=1)).max()
    said = (
        f"The images have different scales, {low:.4g} to {high:.4g} nm per px: each is measured by its own. In tables of all "
        f"images lengths in px are those of a px of {typical:.4g} nm; use those in nm."
    )
    return known.updated("median of the images' own", pixel_size_nm=(typical, typical)), [*missing, said]


def common_field(frames: pd.DataFrame) -> tuple[float, float, float, float] | None:
    """x0, y0, x1, y1 of what was searched, px; None where that or the scale is not the same in all images."""
    boxes = frames[list(BOX)].drop_duplicates().to_numpy(float)
    if len(boxes) > 1 or several_scales(frames):
        return None
    x0, y0, x1, y1 = (float(v) for v in boxes[0])
    return x0, y0, x1, y1


def several_scales(frames: pd.DataFrame) -> bool:
    """Whether images have scales of their own that differ; no scale differs from any."""
    return SIZE_Y in frames.columns and len(frames[[SIZE_Y, SIZE_X]].drop_duplicates()) > 1


def with_own_nm(table: pd.DataFrame, frames: pd.DataFrame, calibration: Calibration) -> pd.DataFrame:
    """Objects with their nm twins, by the scale of their own image where these differ."""
    if not several_scales(frames):
        return calibration.with_nm(table)
    sizes = frames.set_index("frame")[[SIZE_Y, SIZE_X]].loc[table["frame"]].to_numpy(float)
    kinds, which = np.unique(sizes, axis=0, return_inverse=True, equal_nan=True)
    parts = [_scaled(size, calibration).with_nm(table[which == k]) for k, size in enumerate(kinds)]
    return pd.concat(parts).sort_index() if parts else calibration.with_nm(table)


def _scaled(size: NDArray[np.float64], calibration: Calibration) -> Calibration:
    known = bool(np.isfinite(size).all())
    return replace(calibration, pixel_size_nm=(float(size[0]), float(size[1])) if known else None)


def at_one_scale(objects: pd.DataFrame, frames: pd.DataFrame, calibration: Calibration) -> pd.DataFrame:
    """Objects whose lengths and areas in px are those at the common scale, so that all images can be pooled.

    They are nan in images without a scale, which so have no part in it.
    """
    if not several_scales(frames) or not calibration.has_scale:
        return objects
    factor = _factors(frames, calibration).loc[objects["frame"]].to_numpy()
    lengths = [name for name in map(str, objects.columns) if name.endswith("_px")]
    power = {name: 2 if name in ("area_px", "convex_area_px") else 1 for name in lengths}
    return objects.assign(**{name: objects[name] * factor ** power[name] for name in lengths})


def areas_at_one_scale(frames: pd.DataFrame, calibration: Calibration) -> NDArray[np.float64]:
    """The valid area (n,) of each image in px of the common scale; nan without a scale of its own."""
    own = np.asarray(frames[VALID], float)
    if not several_scales(frames) or not calibration.has_scale:
        return own
    return np.asarray(own * _factors(frames, calibration).to_numpy() ** 2)


def coarsest(frames: pd.DataFrame, calibration: Calibration) -> float:
    """How many px of the common scale a px of the coarsest image is long."""
    if not several_scales(frames) or not calibration.has_scale:
        return 1.0
    return float(_factors(frames, calibration).max())


def _factors(frames: pd.DataFrame, calibration: Calibration) -> pd.Series:
    own = np.sqrt(frames[SIZE_Y] * frames[SIZE_X]) / calibration.mean_pixel_nm
    return pd.Series(own.to_numpy(float), index=frames["frame"].to_numpy())
