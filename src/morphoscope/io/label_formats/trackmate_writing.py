"""TrackMate files from labels; conventions are told in `trackmate`."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any
from xml.etree.ElementTree import Element, SubElement

from morphoscope.io.label_formats.kept import kept_image, kept_label
from morphoscope.io.label_formats.writing import one_ring, xml_text
from morphoscope.io.label_set import ImageFacts, Label, LabelSet
from morphoscope.io.shapes import Point

OURS = "Morphoscope"
POINT_PX = 1.0  # across the circle that stands for a point
SPOT_FEATURES = {
    "QUALITY": ("Quality", "QUALITY", False),
    "POSITION_X": ("X", "POSITION", False),
    "POSITION_Y": ("Y", "POSITION", False),
    "POSITION_Z": ("Z", "POSITION", False),
    "POSITION_T": ("T", "TIME", False),
    "FRAME": ("Frame", "NONE", True),
    "RADIUS": ("Radius", "LENGTH", False),
    "VISIBILITY": ("Visibility", "NONE", True),
}
EDGE_FEATURES = {
    "SPOT_SOURCE_ID": ("Source spot ID", "NONE", True),
    "SPOT_TARGET_ID": ("Target spot ID", "NONE", True),
    "LINK_COST": ("Edge cost", "COST", False),
    "EDGE_TIME": ("Edge time", "TIME", False),
}
TRACK_FEATURES = {"TRACK_INDEX": ("Track index", "NONE", True), "TRACK_ID": ("Track ID", "NONE", True)}


def document_of(
    file: str, facts: ImageFacts, labels: list[Label], known: LabelSet, *, folder: str, series: Sequence[str] = ()
) -> Element:
    """The root element for one image.

    `folder` is where the image lies, empty for one beside the file; `series` names the pictures that its frames are.
    """
    pixel, interval = facts.pixel_size_nm or (1.0, 1.0), facts.frame_interval_s
    root = Element("TrackMate", version="7.11.1")
    model = SubElement(
        root, "Model", spatialunits="nm" if facts.pixel_size_nm else "pixel", timeunits="sec" if interval else "frame"
    )
    declared = SubElement(model, "FeatureDeclarations")
    for kind, features in (("Spot", SPOT_FEATURES), ("Edge", EDGE_FEATURES), ("Track", TRACK_FEATURES)):
        parent = SubElement(declared, f"{kind}Features")
        for feature, (name, dimension, isint) in features.items():
            about = {"feature": feature, "name": name, "shortname": name, "dimension": dimension, "isint": str(isint).lower()}
            SubElement(parent, "Feature", about)
    spots = SubElement(model, "AllSpots", nspots=str(len(labels)))
    frames: dict[int, Element] = {}
    for number_, label in sorted(enumerate(labels), key=lambda pair: pair[1].frame):
        if label.frame not in frames:
            frames[label.frame] = SubElement(spots, "SpotsInFrame", frame=str(label.frame))
        frames[label.frame].append(spot_of(number_, label, pixel, interval or 1.0))
    _add_tracks(model, labels, interval or 1.0)
    _add_settings(root, PurePosixPath(file).name, folder, facts, least=min([0.0, *(label.score or 0.0 for label in labels)]))
    kept: dict[str, Any] = {
        "image": kept_image(file, facts, known),
        "spots": {str(k): kept_label(label) for k, label in enumerate(labels)},
    }
    if series:
        kept["series"] = list(series)
    SubElement(root, OURS).text = json.dumps(kept)
    return root


def _add_settings(root: Element, name: str, folder: str, facts: ImageFacts, *, least: float) -> None:
    """The image, and the settings that TrackMate looks for when it opens a file; `least` is the lowest quality of a spot."""
    pixel, width, height = facts.pixel_size_nm or (1.0, 1.0), facts.width or 0, facts.height or 0
    settings = SubElement(root, "Settings")
    data: dict[str, Any] = {
        "filename": xml_text(name),
        "folder": xml_text(folder),
        "width": width,
        "height": height,
        "nslices": 1,
    }
    data |= {"nframes": facts.frames, "pixelwidth": pixel[1], "pixelheight": pixel[0], "voxeldepth": 1.0}
    data["timeinterval"] = facts.frame_interval_s or 1.0
    SubElement(settings, "ImageData", {key: str(value) for key, value in data.items()})
    ends = {"x": width - 1, "y": height - 1, "z": 0, "t": facts.frames - 1}
    around = {f"{axis}{end}": str(value) for axis, last in ends.items() for end, value in (("start", 0), ("end", last))}
    SubElement(settings, "BasicSettings", around)
    SubElement(settings, "DetectorSettings", DETECTOR_NAME="MANUAL_DETECTOR", RADIUS=str(5 * pixel[1]))
    SubElement(settings, "InitialSpotFilter", feature="QUALITY", value=str(least), isabove="true")
    for empty in ("SpotFilterCollection", "TrackFilterCollection", "AnalyzerCollection"):
        SubElement(settings, empty)
    SubElement(root, "GUIState", state="ConfigureViews")


def spot_of(number_: int, label: Label, pixel: tuple[float, float], interval: float = 1.0) -> Element:
    """A spot of a label; `pixel` (height and width) and `interval` are in the units of the file."""
    x0, y0, x1, y1 = label.shape.bounds
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    area = label.shape.area_px or math.pi * POINT_PX**2 / 4
    values: dict[str, Any] = {
        "ID": number_,
        "name": xml_text(f"{label.label} ID{number_}"),
        "QUALITY": 1.0 if label.score is None else label.score,
        "POSITION_X": (x - 0.5) * pixel[1],
        "POSITION_Y": (y - 0.5) * pixel[0],
        "POSITION_Z": 0.0,
        "POSITION_T": label.frame * interval,
        "FRAME": label.frame,
        "RADIUS": math.sqrt(area * pixel[0] * pixel[1] / math.pi)
        if not isinstance(label.shape, Point)
        else POINT_PX / 2 * pixel[1],
        "VISIBILITY": 1,
    }
    spot = Element("Spot", {name: str(value) for name, value in values.items()})
    if not isinstance(label.shape, Point):
        ring = one_ring(label.shape)
        spot.set("ROI_N_POINTS", str(len(ring)))
        spot.text = " ".join(f"{(u - x) * pixel[1]!r} {(v - y) * pixel[0]!r}" for u, v in ring)
    return spot


def _add_tracks(model: Element, labels: list[Label], interval: float) -> None:
    """Tracks with an edge between each detection and the next in time, gaps or none."""
    members: dict[int, list[tuple[int, int]]] = {}
    for number_, label in enumerate(labels):
        if label.track_id is not None:
            members.setdefault(label.track_id, []).append((label.frame, number_))
    every, shown = SubElement(model, "AllTracks"), Element("FilteredTracks")
    for index, (track, spots) in enumerate(sorted(members.items())):
        spots.sort()
        edges = [(a, b) for (first, a), (second, b) in zip(spots, spots[1:], strict=False) if first < second]
        if not edges or track < 0:
            continue
        element = SubElement(every, "Track", name=f"Track_{track}", TRACK_INDEX=str(index), TRACK_ID=str(track))
        for source, target in edges:
            middle = str((labels[source].frame + labels[target].frame) / 2 * interval)
            ends = {"SPOT_SOURCE_ID": str(source), "SPOT_TARGET_ID": str(target)}
            SubElement(element, "Edge", {**ends, "LINK_COST": "-1.0", "EDGE_TIME": middle})
        SubElement(shown, "TrackID", TRACK_ID=str(track))
    model.append(shown)
