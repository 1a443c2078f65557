"""Objects that are known already: measured from labels, masks or corrected tables, without any model."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from morphoscope.errors import InputError, UsageError
from morphoscope.io.frames import Frames
from morphoscope.io.label_set import Label, LabelSet
from morphoscope.io.labels import read_labels
from morphoscope.io.shapes import Box, Ellipse, Mask, Point, Shape, as_polygon, ring_signs
from morphoscope.measure.outlines import EllipseFit, ellipse_of_mask, ellipse_of_rings
from morphoscope.models.card import ModelCard
from morphoscope.pipeline.provenance import text_hash
from morphoscope.pipeline.stages import Image, Plan, in_any, measure_frame

NAME = "objects given"
BOXES = ["label", "score", "x_px", "y_px", "width_px", "height_px", "track_id", "given_id"]
ELLIPSES = ["ellipse_x_px", "ellipse_y_px", "major_px", "minor_px", "angle_deg", "area_px", "fitted", "on_edge"]


class GivenObjects:
    """Objects of a label file or folder in any format, in place of a detector.

    Masks, polygons, turned boxes and ellipses are measured as they are given; in upright boxes the object is looked for in the
    picture, as after detection. Points have a place and no size.

    Raises:
        InputError: the labels cannot be read, or some of them are damaged.
    """

    def __init__(self, source: str | Path) -> None:
        self.source = Path(source)
        self.labels: LabelSet = read_labels(self.source)
        if self.labels.skipped:
            raise InputError(
                f"{source}: {len(self.labels.skipped)} labels are damaged, such as {self.labels.skipped[0]}; mend them"
            )
        self._frames: dict[int, list[Label]] = {}
        kinds = Counter(label.shape.kind for label in self.labels.labels)
        content = text_hash(repr((sorted(self.labels.images), self.labels.labels)))
        self.card = ModelCard(
            name=NAME,
            task="detect",
            classes=self.labels.classes or ("object",),
            preprocess="none",
            postprocess="none",
            training={"labels": str(self.source), "sha256": content, "shapes": dict(sorted(kinds.items()))},
        )

    def detect(self, images: Image | Sequence[Image], *, threshold: float | None = None, nms_iou: float = 0.45) -> Any:
        """Not possible: what is given belongs to frames.

        Raises:
            UsageError: always.
        """
        raise UsageError("given objects belong to the frames of an input: run `analyze` on it")

    def bound(self, frames: Frames) -> tuple[GivenObjects, tuple[str, ...]]:
        """These objects assigned to the frames of an input, and what is to be said about it.

        A label belongs to the frame of its file: by path, by name, or by name without suffix where that is the only one; in a
        stack or video its own frame number counts.

        Raises:
            InputError: none of the labelled files is in the input.
        """
        own = GivenObjects.__new__(GivenObjects)
        own.source, own.labels, own.card = self.source, self.labels, self.card
        places, unlabelled = _places(frames, list(self.labels.images))
        own._frames = {}
        for label in self.labels.labels:
            if label.file in places:
                own._frames.setdefault(places[label.file] + label.frame, []).append(label)
        lost = [file for file in self.labels.images if file not in places]
        if not places:
            raise InputError(
                f"none of the files labelled in {self.source} ({', '.join(lost[:3])}) is in the input "
                f"({frames.name(0)} and so on); names must be the same but for the suffix"
            )
        beyond = [number for number in own._frames if number >= len(frames)]
        if beyond:
            raise InputError(f"{self.source} has objects in frame {max(beyond)}, the input has {len(frames)} frames")
        said = []
        if lost:
            said.append(f"{len(lost)} labelled files are not in the input, such as {lost[0]}: their objects are not measured.")
        if unlabelled:
            said.append(f"{unlabelled} frames are not in {self.source.name}: they count as frames without objects.")
        if "box" in self.card.training["shapes"]:
            said.append("In upright boxes objects were looked for in the picture: dark ones, unless detect.polarity is bright.")
        return own, tuple(said)

    def objects(self, number: int, image: Image, plan: Plan) -> pd.DataFrame:
        """Objects of a frame (h, w) whose centre lies in the valid part, measured, in px of the frame."""
        labels = self._frames.get(number, [])
        table = pd.DataFrame([_row(label) for label in labels], columns=BOXES)
        table = table.astype({"label": str, "given_id": object, "track_id": "Int64"} | dict.fromkeys(BOXES[1:6], float))
        keep = in_any(table, [plan.region]) & ~in_any(table, plan.exclude)
        shapes = [label.shape for label, kept in zip(labels, keep, strict=True) if kept]
        table = table[keep].reset_index(drop=True)
        upright = np.array([isinstance(s, Box) and s.angle_deg == 0 for s in shapes], dtype=bool)
        measured = measure_frame(image, table[upright], plan)
        rows = [_measured(s, plan) for s, box in zip(shapes, upright, strict=True) if not box]
        exact = table[~upright].assign(**dict(zip(ELLIPSES, zip(*rows, strict=True), strict=True))) if rows else measured[:0]
        parts = [part for part in (measured, exact) if len(part)] or [measured]
        return pd.concat(parts).sort_index()


def _places(frames: Frames, files: list[str]) -> tuple[dict[str, int], int]:
    """The first frame of each labelled file that is in the input, and how many frames no file is labelled for."""
    names = [frames.name(i) for i in range(len(frames))]
    if len(set(names)) == 1:  # a stack, a video, one picture
        found = [f for f in files if _same(f, names[0])] or (files if len(files) == 1 else [])
        return dict.fromkeys(found, 0), 0
    by_path = {name: k for k, name in enumerate(names)}
    stems = Counter(PurePosixPath(name).stem for name in names)
    by_stem = {PurePosixPath(name).stem: k for k, name in enumerate(names) if stems[PurePosixPath(name).stem] == 1}
    by_name = {PurePosixPath(name).name: k for k, name in enumerate(names)}
    places = {}
    for file in files:
        path = PurePosixPath(file)
        place = by_path.get(file, by_name.get(path.name, by_stem.get(path.stem)))
        if place is not None:
            places[file] = place
    return places, len(names) - len(set(places.values()))


def _same(file: str, name: str) -> bool:
    return PurePosixPath(file).stem == PurePosixPath(name).stem


def _row(label: Label) -> dict[str, Any]:
    x0, y0, x1, y1 = label.shape.bounds
    return {
        "label": label.label,
        "score": math.nan if label.score is None else label.score,
        "x_px": (x0 + x1) / 2 - 0.5,
        "y_px": (y0 + y1) / 2 - 0.5,
        "width_px": x1 - x0,
        "height_px": y1 - y0,
        "track_id": label.track_id,
        "given_id": label.object_id,
    }


def _measured(shape: Shape, plan: Plan) -> tuple[float | bool, ...]:
    """Ellipse, area and flags of a shape with an outline of its own, in px of the frame."""
    x0, y0, x1, y1 = shape.bounds
    region = plan.region
    edge = x0 <= region.x0 or y0 <= region.y0 or x1 >= region.x1 or y1 >= region.y1
    fit = _fit(shape)
    if fit is None:
        return math.nan, math.nan, math.nan, math.nan, math.nan, 0.0, False, edge
    return fit.x - 0.5, fit.y - 0.5, fit.major, fit.minor, fit.angle_deg, fit.area, True, edge


def _fit(shape: Shape) -> EllipseFit | None:
    if isinstance(shape, Point):
        return None
    if isinstance(shape, Ellipse):
        return EllipseFit(shape.x, shape.y, shape.major, shape.minor, shape.angle_deg % 180, shape.area_px)
    if isinstance(shape, Mask):
        return ellipse_of_mask(shape.pixels, shape.x0 + 0.5, shape.y0 + 0.5)
    polygon = as_polygon(shape)
    return ellipse_of_rings([np.asarray(ring) for ring in polygon.rings], ring_signs(polygon))
