"""Objects with masks: label images of a model or a threshold, in the region of a plan, measured in px and nm."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from morphoscope.measure.shape import shapes
from morphoscope.measure.threshold import Method, ThresholdSettings, check_settings, threshold_labels
from morphoscope.models.card import ModelCard
from morphoscope.models.segment import Segmenter
from morphoscope.pipeline.finders import Labels, MaskFinder, Measured, NamingFinder
from morphoscope.pipeline.height_maps import with_heights
from morphoscope.pipeline.stages import Image, Plan, in_any, resampled
from morphoscope.recipe import SegmentRecipe
from morphoscope.schema import OBJECTS, SHAPES

IN_NM = ("perimeter_nm", "feret_max_nm", "feret_min_nm")  # measured in nm, not to be had from px where pixels are unequal
PLACES = {"x_px": "x0", "ellipse_x_px": "x0", "y_px": "y0", "ellipse_y_px": "y0"}


class ThresholdSegmenter:
    """Particles outlined by a threshold, in place of a model; see `measure.threshold`, also for what is refused."""

    def __init__(self, method: Method, recipe: SegmentRecipe | None = None) -> None:
        chosen = (recipe or SegmentRecipe()).model_dump()
        self._method: Method = method
        self._settings = ThresholdSettings(**{name: chosen[name] for name in ThresholdSettings._fields})
        check_settings(method, self._settings)
        self.card = ModelCard(
            name=method,
            task="segment",
            classes=("particle",),
            preprocess="none",
            postprocess="none",
            training={"settings": self._settings._asdict()},
        )

    def segment(self, images: Image | Sequence[Image], *, threshold: float | None = None) -> list[Labels]:
        """A label image (h, w) for each image (h, w); `threshold` has no meaning here."""
        return [threshold_labels(image, self._method, self._settings) for image in images]


class Masks:
    """Objects outlined by a segmenter and measured by `measure.shape`.

    Args:
        segmenter: gives the label images.
        recipe: whether objects on the edge of the region are kept.
    """

    masks = True
    rim = 0

    def __init__(self, segmenter: MaskFinder, recipe: SegmentRecipe | None = None) -> None:
        self.card = segmenter.card
        self.path: Path | None = getattr(segmenter, "path", None)
        wanted = recipe or SegmentRecipe()
        if isinstance(segmenter, Segmenter):
            segmenter = segmenter.at(wanted.zoom, outline=wanted.outline)
        self._segmenter = segmenter
        self._edge = wanted.edge

    def key(self, plan: Plan) -> dict[str, Any]:
        """See `finders.ObjectFinder`."""
        zooms = list(self._segmenter.zooms) if isinstance(self._segmenter, Segmenter) else None
        return {
            "edge": self._edge,
            "zooms": zooms,
            "outline": getattr(self._segmenter, "outline", None),
            "pixel_size_nm": plan.calibration.pixel_size_nm and list(plan.calibration.pixel_size_nm),
        }

    def settled(self, pictures: Sequence[Image], plan: Plan) -> tuple[Masks, tuple[str, ...]]:
        """The same at the magnification that suits these frames of a series best, and what is to be said about it.

        Frames that follow each other must not differ in it, or sizes would jump.
        """
        if not isinstance(self._segmenter, Segmenter) or len(self._segmenter.zooms) == 1 or not pictures:
            return self, ()
        zoom = self._segmenter.zoom_of(*(self._seen(image, plan)[1] for image in pictures))
        own = copy.copy(self)
        own._segmenter = self._segmenter.at(zoom)
        return own, (f"All frames are magnified {zoom:g} times for the network, which suits them best (segment.zoom sets it).",)

    @staticmethod
    def _seen(image: Image, plan: Plan) -> tuple[Image, Image]:
        """The analysed part of a frame, and the same as the model is to see it."""
        seen = plan.crop(image)
        return seen, seen if plan.zoom is None else resampled(seen, plan.zoom)

    def find(self, number: int, image: Image, plan: Plan) -> tuple[Labels, tuple[str, ...]]:
        """The label image of the plan's region and the class of each label; that of a resampled picture is brought back."""
        seen, picture = self._seen(image, plan)
        if isinstance(self._segmenter, NamingFinder):
            labels, names = self._segmenter.named([picture], threshold=plan.threshold)[0]
        else:
            labels = self._segmenter.segment([picture], threshold=plan.threshold)[0]
            names = self.card.classes[:1] * int(labels.max(initial=0))
        if plan.zoom is not None:
            labels = np.asarray(cv2.resize(labels, seen.shape[::-1], interpolation=cv2.INTER_NEAREST_EXACT), np.int32)
        return labels, names

    def measure(self, image: Image, found: tuple[Labels, tuple[str, ...]], plan: Plan) -> Measured:
        """See `finders.ObjectFinder`."""
        objects, labels, old = measure_labels(found[0], plan, leave_out_edge=self._edge == "leave out")
        if plan.heights:
            objects = with_heights(objects, image, plan, everything=found[0], value=old)
        names = pd.Series(np.array(found[1], dtype=object)[old - 1], dtype="str")
        return Measured(objects.assign(label=names, score=np.nan), labels)


def measure_labels(labels: Labels, plan: Plan, *, leave_out_edge: bool = False) -> tuple[pd.DataFrame, Labels, NDArray[np.int64]]:
    """Objects of a label image whose centre lies in the valid part of a frame, and the label image of these alone.

    Args:
        labels: (h, w) of the plan's region.
        plan: region, excluded parts and calibration.
        leave_out_edge: objects that touch the edge of the region are left out.

    Returns:
        A row per object with the columns of `measure.shape.shapes` in px of the stored frame, `mask_label` from 1 without gaps;
        the labels (h, w) with these values; and the values (n,) these objects had before.
    """
    table = shapes(labels, edge="leave out" if leave_out_edge else "keep", calibration=plan.calibration)
    table = table.assign(**{name: table[name] + getattr(plan.region, corner) for name, corner in PLACES.items()})
    table = table[~in_any(table, plan.exclude)].reset_index(drop=True)
    wanted = [name for name in table.columns if (name in OBJECTS or name in SHAPES) and (not _is_nm(name) or name in IN_NM)]
    number = np.zeros(int(labels.max(initial=0)) + 1, np.int32)
    old = table["mask_label"].to_numpy(np.int64)
    number[old] = np.arange(1, len(table) + 1)
    return table[wanted].assign(mask_label=np.arange(1, len(table) + 1), fitted=True), number[labels], old


def _is_nm(name: str) -> bool:
    return name.endswith(("_nm", "_nm2"))
