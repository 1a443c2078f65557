"""What happens to one frame: detection and measurement as pure functions of the picture and a plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from morphoscope.calibration import Calibration
from morphoscope.errors import ModelError, RecipeError
from morphoscope.measure.geometry import Polarity, measure_ellipses
from morphoscope.models.card import ModelCard
from morphoscope.recipe import Recipe, Region

Image = NDArray[Any]
FAR = 1.5  # pixel sizes that differ by more than this factor call for resampling
ENLARGED, REDUCED = 4.0, 16.0  # resampling by more than this: nothing a model could know is left in the picture


class Finder(Protocol):
    """What the pipeline needs of a detector (`models.detect.Detector`; tests use a plain one)."""

    @property
    def card(self) -> ModelCard:
        """The model's card."""
        ...

    def detect(
        self, images: Image | Sequence[Image], *, threshold: float | None = None, nms_iou: float = 0.45
    ) -> list[pd.DataFrame]:
        """See `models.detect.Detector.detect`."""
        ...


@dataclass(frozen=True)
class Plan:
    """What a recipe means for frames of one shape.

    `region` is the analysed part in px of the stored frame; `zoom` the (y, x) factors frames are resampled by before
    detection, None for not at all. `rim` is how many px within the region nothing is looked for.
    """

    region: Region
    exclude: tuple[Region, ...] = ()
    zoom: tuple[float, float] | None = None
    threshold: float | None = None
    nms_iou: float = 0.45
    polarity: Polarity = "dark"
    calibration: Calibration = Calibration()
    rim: int = 0
    heights: bool = False  # grey values are heights in nm

    def crop(self, image: Image) -> Image:
        """The analysed part (a view)."""
        return image[self.region.y0 : self.region.y1, self.region.x0 : self.region.x1]

    def valid_mask(self) -> NDArray[np.bool_]:
        """Which px of the region count towards the area (height, width of the region)."""
        x0, y0 = self.region.x0, self.region.y0
        mask = np.zeros((self.region.y1 - y0, self.region.x1 - x0), dtype=bool)
        mask[self.rim : mask.shape[0] - self.rim, self.rim : mask.shape[1] - self.rim] = True
        for part in self.exclude:
            mask[max(part.y0 - y0, 0) : max(part.y1 - y0, 0), max(part.x0 - x0, 0) : max(part.x1 - x0, 0)] = False
        return mask

    @property
    def field(self) -> tuple[float, float, float, float]:
        """x0, y0, x1, y1 of where objects are looked for, px of the stored frame."""
        low, high = self.rim - 0.5, self.rim + 0.5
        return self.region.x0 + low, self.region.y0 + low, self.region.x1 - high, self.region.y1 - high

    def holds(self, found: pd.DataFrame) -> NDArray[np.bool_]:
        """Whether each centre (`x_px`, `y_px`, px of the stored frame) lies in the valid part."""
        x0, y0, x1, y1 = self.field
        x, y = found["x_px"].to_numpy(float), found["y_px"].to_numpy(float)
        return np.asarray((x >= x0) & (x < x1) & (y >= y0) & (y < y1) & ~in_any(found, self.exclude))


def make_plan(
    recipe: Recipe,
    shape: tuple[int, int],
    calibration: Calibration,
    card: ModelCard,
    *,
    bottom: int | None = None,
    rim: int = 0,
) -> Plan:
    """The plan for frames of a shape; without a region in the recipe, rows from `bottom` on (an info bar) are left out.

    Nothing is looked for in `rim` px along the edge of the region.

    Raises:
        RecipeError: the region reaches outside the frame, or the excluded parts leave nothing of it.
        ModelError: the pixel size is far from the model's and the recipe does not allow resampling, or too far for it.
    """
    height, width = shape
    region = recipe.frames.region or Region(x0=0, y0=0, x1=width, y1=bottom or height)
    if region.x1 > width or region.y1 > height:
        raise RecipeError(
            f"frames.region reaches to x {region.x1}, y {region.y1}, the frames are {width} x {height} px; "
            f"give x1 <= {width} and y1 <= {height}"
        )
    plan = Plan(
        region=region,
        exclude=recipe.frames.exclude,
        zoom=_zoom(recipe, calibration, card),
        threshold=recipe.detect.threshold,
        nms_iou=recipe.detect.nms_iou,
        polarity=recipe.detect.polarity,
        calibration=calibration,
        rim=rim,
    )
    if not plan.valid_mask().any():
        why = "frames.exclude covers the whole region" if not rim else f"the region is no wider than {rim} px along its edges"
        raise RecipeError(f"{why}, nothing is left to analyse")
    return plan


def _zoom(recipe: Recipe, calibration: Calibration, card: ModelCard) -> tuple[float, float] | None:
    if card.pixel_size_nm is None or calibration.pixel_size_nm is None:
        return None
    zoom_y, zoom_x = (size / card.pixel_size_nm for size in calibration.pixel_size_nm)
    if all(1 / FAR <= factor <= FAR for factor in (zoom_y, zoom_x)):
        return None
    if not recipe.detect.resample:
        raise ModelError(
            f"the frames have {calibration.mean_pixel_nm:.4g} nm per px, {card.name} was trained at {card.pixel_size_nm:.4g}, "
            f"more than a factor {FAR} apart; set detect.resample = true, or give a model trained at this scale"
        )
    if not all(1 / REDUCED <= factor <= ENLARGED for factor in (zoom_y, zoom_x)):
        raise ModelError(
            f"the frames have {calibration.mean_pixel_nm:.4g} nm per px, {card.name} was trained at {card.pixel_size_nm:.4g}: "
            f"more than {ENLARGED:g} times coarser or {REDUCED:g} times finer frames cannot be resampled to that; "
            "check the scale (nm per px, not px per nm), or give a model trained at it"
        )
    return zoom_y, zoom_x


def detect_frame(image: Image, detector: Finder, plan: Plan) -> pd.DataFrame:
    """Objects whose centre lies in the valid part of a frame (h, w): label, score and the box columns, px of the stored frame."""
    seen = plan.crop(image)
    picture = seen if plan.zoom is None else resampled(seen, plan.zoom)
    found = detector.detect(picture[None], threshold=plan.threshold, nms_iou=plan.nms_iou)[0]
    zoom_y, zoom_x = picture.shape[0] / seen.shape[0], picture.shape[1] / seen.shape[1]
    found = found.assign(
        x_px=(found["x_px"] + 0.5) / zoom_x - 0.5 + plan.region.x0,
        y_px=(found["y_px"] + 0.5) / zoom_y - 0.5 + plan.region.y0,
        width_px=found["width_px"] / zoom_x,
        height_px=found["height_px"] / zoom_y,
    )
    return found[plan.holds(found)].reset_index(drop=True)


def resampled(image: Image, zoom: tuple[float, float]) -> Image:
    """A picture (h, w), any real dtype, with (y, x) zoom times as many px; floats where its own dtype cannot be resampled."""
    if image.dtype.name not in ("uint8", "uint16", "int16", "float32", "float64"):
        image = image.astype(np.float32 if image.dtype.itemsize <= 2 else np.float64)
    size = (max(round(image.shape[1] * zoom[1]), 1), max(round(image.shape[0] * zoom[0]), 1))
    kind = cv2.INTER_AREA if min(zoom) < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, size, interpolation=kind))


def in_any(found: pd.DataFrame, regions: Sequence[Region]) -> NDArray[np.bool_]:
    """Whether each centre (`x_px`, `y_px`) lies on a pixel of one of the regions; a pixel reaches half a px beyond its centre."""
    x, y = found["x_px"].to_numpy(float) + 0.5, found["y_px"].to_numpy(float) + 0.5
    inside = np.zeros(len(found), dtype=bool)
    for part in regions:
        inside |= (x >= part.x0) & (x < part.x1) & (y >= part.y0) & (y < part.y1)
    return inside


def measure_frame(image: Image, found: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """`found` with the columns of `measure_ellipses`, in px of the stored frame (h, w); edges are those of the region."""
    x0, y0 = plan.region.x0, plan.region.y0
    local = found.assign(x_px=found["x_px"] - x0, y_px=found["y_px"] - y0)
    measured = measure_ellipses(plan.crop(image), local, polarity=plan.polarity)
    return measured.assign(
        x_px=found["x_px"],
        y_px=found["y_px"],
        ellipse_x_px=measured["ellipse_x_px"] + x0,
        ellipse_y_px=measured["ellipse_y_px"] + y0,
    )
