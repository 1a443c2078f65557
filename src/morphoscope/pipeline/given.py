"""Objects that are known already: measured from labels, masks or corrected tables, without any model."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from morphoscope.errors import InputError, UsageError
from morphoscope.io.frames import Frames
from morphoscope.io.label_set import Label, LabelSet
from morphoscope.io.labels import read_labels, recognise_labels
from morphoscope.io.shapes import Box, Ellipse, Mask, Point, Shape, as_polygon, ring_signs
from morphoscope.io.tables import read_table
from morphoscope.measure.outlines import EllipseFit, ellipse_of_mask, ellipse_of_rings
from morphoscope.models.card import ModelCard
from morphoscope.pipeline.finders import Measured
from morphoscope.pipeline.given_masks import measure_given_masks
from morphoscope.pipeline.provenance import text_hash
from morphoscope.pipeline.stages import Image, Plan, measure_frame

NAME = "objects given"
BOXES = ["label", "score", "x_px", "y_px", "width_px", "height_px", "track_id", "given_id"]
Known = tuple[float | bool, ...] | None
ELLIPSES = ["ellipse_x_px", "ellipse_y_px", "major_px", "minor_px", "angle_deg", "area_px", "fitted", "on_edge"]


class GivenObjects:
    """Objects of a label file or folder in any format, in place of a detector.

    Masks, polygons, turned boxes and ellipses are measured as they are given; in upright boxes the object is looked for in the
    picture, as after detection. Points have a place and no size. Ellipses in a run's table of objects are taken over.

    Raises:
        InputError: the labels cannot be read, or some of them are damaged.
    """

    path: Path | None = None
    rim = 0

    def __init__(self, source: str | Path) -> None:
        self.source = Path(source)
        self.labels: LabelSet = read_labels(self.source)
        if self.labels.skipped:
            raise InputError(
                f"{source}: {len(self.labels.skipped)} labels are damaged, such as {self.labels.skipped[0]}; mend them"
            )
        self._known = _ellipses_of_table(self.source, len(self.labels.labels))
        self._frames: dict[int, list[tuple[Label, Known]]] | None = None
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

    @property
    def masks(self) -> bool:
        """Whether all objects are masks, so that label images can be had."""
        return set(self.card.training["shapes"]) == {"mask"}

    def key(self, plan: Plan) -> dict[str, Any]:
        """See `finders.ObjectFinder`."""
        size = plan.calibration.pixel_size_nm
        return {"pixel_size_nm": size and list(size)} if self.masks else {}

    def bound(self, frames: Frames) -> tuple[GivenObjects, tuple[str, ...]]:
        """These objects assigned to the frames of an input, and what is to be said about it.

        A label belongs to the frame of its file: by path, by name, or by name without suffix where that is the only one; in a
        stack or video its own frame number counts.

        Raises:
            InputError: none of the labelled files is in the input.
        """
        own = GivenObjects.__new__(GivenObjects)
        own.source, own.labels, own.card, own._known = self.source, self.labels, self.card, self._known
        places, said = _places(frames, self.labels, self.source)
        lost = [file for file in self.labels.images if file not in places]
        found: dict[int, list[tuple[Label, Known]]] = {}
        for label, known in zip(self.labels.labels, self._known, strict=True):
            if label.file in places:
                found.setdefault(places[label.file] + label.frame, []).append((label, known))
        own._frames = found
        beyond = [number for number in found if number >= len(frames)]
        if beyond:
            raise InputError(f"{self.source} has objects in frame {max(beyond)}, the input has {len(frames)} frames")
        if lost:
            said.append(f"{len(lost)} labelled files are not in the input, such as {lost[0]}: their objects are not measured.")
        bare = len(frames) - len({*places.values(), *found})
        if bare:
            said.append(
                f"{bare} of {len(frames)} frames have no labels in {self.source.name}: they count as frames without objects."
            )
        if "box" in self.card.training["shapes"]:
            said.append("In upright boxes objects were looked for in the picture: dark ones, unless detect.polarity is bright.")
        return own, tuple(said)

    def find(self, number: int, image: Image, plan: Plan) -> list[tuple[Label, Known]]:
        """See `finders.ObjectFinder`.

        Raises:
            UsageError: the objects are not assigned to the frames of an input.
        """
        if self._frames is None:
            raise UsageError("given objects belong to the frames of an input: run `analyze` on it")
        return self._frames.get(number, [])

    def measure(self, image: Image, found: list[tuple[Label, Known]], plan: Plan) -> Measured:
        """See `finders.ObjectFinder`."""
        table = pd.DataFrame([_row(label) for label, _ in found], columns=BOXES)
        table = table.astype({"label": str, "given_id": object, "track_id": "Int64"} | dict.fromkeys(BOXES[1:6], float))
        if self.masks:
            return measure_given_masks([label.shape for label, _ in found if isinstance(label.shape, Mask)], table, image, plan)
        keep = plan.holds(table)
        kept = [pair for pair, inside in zip(found, keep, strict=True) if inside]
        table = table[keep].reset_index(drop=True)
        rows = [known or _measured(label.shape, plan) for label, known in kept]
        open_ = np.array([row is None for row in rows], dtype=bool)
        measured = measure_frame(image, table[open_], plan)
        own = [row for row in rows if row is not None]
        exact = table[~open_].assign(**dict(zip(ELLIPSES, zip(*own, strict=True), strict=True))) if own else measured[:0]
        parts = [part for part in (measured, exact) if len(part)] or [measured]
        return Measured(pd.concat(parts).sort_index())


def _ellipses_of_table(source: Path, count: int) -> list[Known]:
    """What a run's table of objects says of each object's ellipse, where its centre lies in the object's box still.

    Rows that were corrected by hand to another place are measured anew.
    """
    path = source / "objects.parquet" if source.is_dir() else source
    if not path.is_file() or recognise_labels(source) != "objects":
        return [None] * count
    table = read_table(path)
    if len(table) != count or not {*ELLIPSES, *BOXES[2:6]} <= set(table.columns):
        return [None] * count
    inside = (2 * (table["ellipse_x_px"] - table["x_px"]).abs() <= table["width_px"]) & (
        2 * (table["ellipse_y_px"] - table["y_px"]).abs() <= table["height_px"]
    )
    usable = (inside & table["fitted"].astype(bool)).tolist()
    rows = table[ELLIPSES].itertuples(index=False, name=None)
    return [tuple(row) if good else None for row, good in zip(rows, usable, strict=True)]


def larger_than_boxes(objects: pd.DataFrame, polarity: str) -> list[str]:
    """A warning where many measured objects do not fit into their boxes, as bright ones do that are measured as dark."""
    found = objects[objects["fitted"]]
    larger = int((found["major_px"] * found["minor_px"] > 1.2 * found["width_px"] * found["height_px"]).sum())
    if larger == 0 or larger < 0.3 * len(found):
        return []
    return [
        f"{larger} of {len(found)} objects are larger than the boxes they were given in: {polarity} objects were looked for; "
        "if yours are not, set detect.polarity."
    ]


def _places(frames: Frames, labels: LabelSet, source: Path) -> tuple[dict[str, int], list[str]]:
    """The first frame of each labelled file that is in the input, and what was assumed.

    Raises:
        InputError: no labelled file is in the input, or one is labelled at another size.
    """
    names = [frames.name(i) for i in range(len(frames))]
    by_path = {name: k for k, name in reversed(list(enumerate(names)))}
    by_name = {PurePosixPath(name).name: k for name, k in by_path.items()}
    stems = Counter(PurePosixPath(name).stem for name in by_path)
    by_stem = {PurePosixPath(name).stem: k for name, k in by_path.items() if stems[PurePosixPath(name).stem] == 1}
    places: dict[str, int] = {}
    for file in labels.images:
        path = PurePosixPath(file)
        place = by_path.get(file, by_name.get(path.name, by_stem.get(path.stem)))
        if place is not None:
            places[file] = place
    said: list[str] = []
    if not places:
        file = _only_one(labels, names, source)
        places[file] = 0
        said.append(f"The labels are those of {file}, which is not in the input; they are taken for {names[0]}.")
    for file in places:
        facts = labels.images[file]
        if not facts.width or not facts.height or (facts.height, facts.width) == frames.shape:
            continue
        height, width = frames[places[file]].shape  # independent images have sizes of their own
        if (facts.height, facts.width) != (height, width):
            raise InputError(
                f"{source} labels {file} at {facts.width} x {facts.height} px, the input has {width} x {height} px: these are "
                "labels of another picture"
            )
    return places, said


def _only_one(labels: LabelSet, names: list[str], source: Path) -> str:
    """The only labelled file, if it may stand for the input's only one: it has a size to compare, or is no file itself."""
    files = list(labels.images)
    if len(files) == 1 and len(set(names)) == 1:
        (facts,) = labels.images.values()
        if facts.width or not (labels.root / files[0]).is_file():
            return files[0]
    raise InputError(
        f"none of the files labelled in {source} ({', '.join(files[:3])}) is in the input "
        f"({names[0]} and so on); names must be the same but for the suffix"
    )


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


def _measured(shape: Shape, plan: Plan) -> Known:
    """Ellipse, area and flags of a shape with an outline of its own, in px of the frame; None for an upright box."""
    if isinstance(shape, Box) and shape.angle_deg == 0:
        return None
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
