"""Objects with masks: label images of a model or a threshold, in the region of a plan, measured in px and nm."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from morphoscope.measure.label_resize import resized_labels
from morphoscope.measure.polarity import side_doubts, side_named
from morphoscope.measure.shape import shapes
from morphoscope.measure.threshold import Method, ThresholdSettings, check_settings, particles_side, threshold_labels
from morphoscope.models.card import ModelCard
from morphoscope.models.segment import Segmenter
from morphoscope.pipeline.finders import Labels, MaskFinder, Measured, NamingFinder
from morphoscope.pipeline.height_maps import with_heights
from morphoscope.pipeline.stages import Image, Plan, in_any, resampled
from morphoscope.recipe import SegmentRecipe
from morphoscope.schema import OBJECTS, SHAPES

IN_NM = ("perimeter_nm", "feret_max_nm", "feret_min_nm")  # measured in nm, not to be had from px where pixels are unequal
SQUARE = 1.05  # a network is shown pixels as square whose sides differ by less than this factor
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

    def sided(self, pictures: Sequence[Image]) -> tuple[ThresholdSegmenter, float | None]:
        """The same for the side, bright or dark, that these pictures speak for, and by how much; None: none is to be chosen."""
        sides = [side for image in pictures if (side := particles_side(image, self._method, self._settings)) is not None]
        if not sides:
            return self, None
        mean = float(np.mean(sides))
        own = copy.copy(self)
        own._settings = self._settings._replace(polarity="bright" if mean > 0 else "dark")
        own.card = self.card.model_copy(update={"training": {"settings": own._settings._asdict()}})
        return own, mean

    def segment(self, images: Image | Sequence[Image], *, threshold: float | None = None) -> list[Labels]:
        """A label image (h, w) for each image (h, w); `threshold` has no meaning here."""
        return [threshold_labels(image, self._method, self._settings) for image in images]


class Found(NamedTuple):
    """Label image (h, w) of a plan's region, the class of labels 1, 2, ..., n, and how far a network saw the frame magnified."""

    labels: Labels
    names: tuple[str, ...]
    magnified: float | None = None


class Masks:
    """Objects outlined by a segmenter and measured by `measure.shape`.

    Args:
        segmenter: gives the label images.
        recipe: whether objects on the edge of the region are kept.
    """

    masks = True
    rim = 0
    doubts: tuple[str, ...] = ()  # warnings of what was settled

    def __init__(self, segmenter: MaskFinder, recipe: SegmentRecipe | None = None) -> None:
        self.card = segmenter.card
        self.path: Path | None = getattr(segmenter, "path", None)
        wanted = recipe or SegmentRecipe()
        if isinstance(segmenter, Segmenter):
            segmenter = segmenter.at(wanted.zoom, outline=wanted.outline)
        self._segmenter = segmenter
        self._edge = wanted.edge

    @property
    def outline(self) -> str | None:
        """Where the outlines of a network lie: `learnt` or `half level`; None of what has no choice."""
        if not isinstance(self._segmenter, Segmenter) or self._segmenter.semantic:
            return None
        return self._segmenter.outline

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
        """The same at the magnification, or with the side of a threshold, that suits these frames of a series best, and what is
        to be said about it.

        Frames that follow each other must not differ in it, or sizes would jump.
        """
        if isinstance(self._segmenter, ThresholdSegmenter):
            return self._sided(pictures, plan)
        if not isinstance(self._segmenter, Segmenter) or len(self._segmenter.zooms) == 1 or not pictures:
            return self, ()
        views = [self._view(image, plan) for image in pictures]
        fitted = views[0].segmenter
        assert isinstance(fitted, Segmenter)
        zoom = self._segmenter.zooms[fitted.zooms.index(fitted.zoom_of(*(view.picture for view in views)))]
        own = copy.copy(self)
        own._segmenter = self._segmenter.at(zoom)
        return own, (f"All frames are magnified {zoom:g} times for the network, which suits them best (segment.zoom sets it).",)

    def doubts_of(self, image: Image, plan: Plan) -> tuple[str, ...]:
        """Warnings of a picture (h, w) that stands for itself: whether the side of a threshold is clear."""
        if not isinstance(self._segmenter, ThresholdSegmenter):
            return ()
        speaks = self._segmenter.sided([self._view(image, plan).picture])[1]
        return () if speaks is None else side_doubts(speaks)

    def _sided(self, pictures: Sequence[Image], plan: Plan) -> tuple[Masks, tuple[str, ...]]:
        own = copy.copy(self)
        assert isinstance(self._segmenter, ThresholdSegmenter)
        own._segmenter, speaks = self._segmenter.sided([self._view(image, plan).picture for image in pictures])
        own.card = own._segmenter.card
        if speaks is None:
            return self, ()
        own.doubts = side_doubts(speaks)
        return own, (f"The {side_named(speaks)} parts were taken for the particles (segment.polarity sets it).",)

    def _view(self, image: Image, plan: Plan) -> _View:
        """How the segmenter sees a frame (h, w). Excluded parts are filled, so that they tell it nothing."""
        seen = _without_excluded(plan.crop(image), plan)
        if plan.zoom is None:
            return _View(seen, self._segmenter, 1.0)
        mean = (plan.zoom[0] * plan.zoom[1]) ** 0.5
        if isinstance(self._segmenter, Segmenter) and 1 / SQUARE < plan.zoom[0] / plan.zoom[1] < SQUARE:
            fitted = self._segmenter.at()  # outlines are finest where the network's own are brought to the frame's px at once
            fitted.zooms = tuple(zoom * mean for zoom in self._segmenter.zooms)
            return _View(seen, fitted, 1.0)
        return _View(resampled(seen, plan.zoom), self._segmenter, mean)

    def find(self, number: int, image: Image, plan: Plan) -> Found:
        """The labels of the plan's region outside of excluded parts; those of a resampled picture are brought back."""
        picture, segmenter, resampling = self._view(image, plan)
        magnified = None
        if isinstance(segmenter, Segmenter):
            segmenter = segmenter.at(segmenter.zoom_of(picture))
            magnified = round(segmenter.zooms[0] * resampling, 6)
        if isinstance(segmenter, NamingFinder):
            labels, names = segmenter.named([picture], threshold=plan.threshold)[0]
        else:
            labels = segmenter.segment([picture], threshold=plan.threshold)[0]
            names = self.card.classes[:1] * int(labels.max(initial=0))
        region = plan.region
        labels = resized_labels(np.asarray(labels, np.int32), (region.y1 - region.y0, region.x1 - region.x0))
        return Found(without_excluded(labels, plan), names, magnified)

    def measure(self, image: Image, found: Found, plan: Plan) -> Measured:
        """See `finders.ObjectFinder`."""
        objects, labels, old = measure_labels(found.labels, plan, leave_out_edge=self._edge == "leave out")
        if plan.heights:
            objects = with_heights(objects, image, plan, everything=found.labels, value=old)
        names = pd.Series(np.array(found.names, dtype=object)[old - 1], dtype="str")
        return Measured(objects.assign(label=names, score=np.nan), labels, found.magnified)


class _View(NamedTuple):
    """The picture (h, w) that is segmented, by what, and how often it was magnified for that."""

    picture: Image
    segmenter: MaskFinder
    resampling: float


def _without_excluded(seen: Image, plan: Plan) -> Image:
    """The plan's region with the median of the rest in excluded parts."""
    if not plan.exclude:
        return seen
    valid = plan.valid_mask()
    rest = seen[valid]
    filled = seen.copy()
    filled[~valid] = np.partition(rest, len(rest) // 2)[len(rest) // 2]
    return filled


def without_excluded(labels: Labels, plan: Plan) -> Labels:
    """A label image of the plan's region with nothing in excluded parts."""
    return np.where(plan.valid_mask(), labels, 0) if plan.exclude else labels


def measure_labels(labels: Labels, plan: Plan, *, leave_out_edge: bool = False) -> tuple[pd.DataFrame, Labels, NDArray[np.int64]]:
    """Objects of a label image whose centre lies in the valid part of a frame, and the label image of these alone.

    Objects that touch an excluded part are on its edge like those on the edge of the region: what lies in it is not seen.

    Args:
        labels: (h, w) of the plan's region.
        plan: region, excluded parts and calibration.
        leave_out_edge: objects on an edge are left out.

    Returns:
        A row per object with the columns of `measure.shape.shapes` in px of the stored frame, `mask_label` from 1 without gaps;
        the labels (h, w) with these values; and the values (n,) these objects had before.
    """
    table = shapes(labels, calibration=plan.calibration)
    cut = table["mask_label"].isin(_beside_excluded(labels, plan))
    table = table.assign(on_edge=table["on_edge"] | cut, edge_weight=table["edge_weight"].mask(cut))
    if leave_out_edge:
        table = table[~table["on_edge"]].reset_index(drop=True)
    table = table.assign(**{name: table[name] + getattr(plan.region, corner) for name, corner in PLACES.items()})
    table = table[~in_any(table, plan.exclude)].reset_index(drop=True)
    wanted = [name for name in table.columns if (name in OBJECTS or name in SHAPES) and (not _is_nm(name) or name in IN_NM)]
    number = np.zeros(int(labels.max(initial=0)) + 1, np.int32)
    old = table["mask_label"].to_numpy(np.int64)
    number[old] = np.arange(1, len(table) + 1)
    return table[wanted].assign(mask_label=np.arange(1, len(table) + 1), fitted=True), number[labels], old


def _beside_excluded(labels: Labels, plan: Plan) -> NDArray[np.int32]:
    """The labels that touch an excluded part or reach into it."""
    if not plan.exclude:
        return np.zeros(0, np.int32)
    beside = cv2.dilate((~plan.valid_mask()).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    return np.unique(labels[beside])


def _is_nm(name: str) -> bool:
    return name.endswith(("_nm", "_nm2"))
