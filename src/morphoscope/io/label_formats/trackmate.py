"""TrackMate XML (version 7), a file per image: spots with outlines, and the tracks that join them.

Source: the documentation of TrackMate's file format and its TmXmlReader. Positions are in the unit of the file, pixel centres at
whole numbers times the pixel size, so x in px edges is POSITION_X / pixelwidth + 0.5. Outlines are polygons about the position; a
spot without one is a circle of its RADIUS. The score is QUALITY, and a spot's name is its class with a number (`loop ID12`).

A track with merges or splits is one track here. Times are frame numbers times the interval; an interval of exactly 1 s is what
TrackMate writes where it knows none, and is not used. Pictures of a series go into one file as the frames of a stack, where one
file is asked for. What TrackMate has no room for is kept in an element of its own, which it drops
when it saves the file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree.ElementTree import Element

from morphoscope.errors import InputError
from morphoscope.io.images import natural_key
from morphoscope.io.label_formats.kept import ALL, parsed, restored, restored_image
from morphoscope.io.label_formats.losses import losses
from morphoscope.io.label_formats.per_image import as_stack, image_of, series_of, targets
from morphoscope.io.label_formats.reading import (
    LONGEST_S,
    SHORTEST_S,
    Records,
    number,
    plain_path,
    ring_of,
    size,
    whole,
    xml_root_name,
)
from morphoscope.io.label_formats.trackmate_writing import OURS, document_of, spot_of
from morphoscope.io.label_formats.writing import write_xml
from morphoscope.io.label_formats.xml_stream import ended_elements
from morphoscope.io.label_set import ImageFacts, Label, LabelSet
from morphoscope.io.shapes import Ellipse, Polygon, Shape
from morphoscope.io.tiff_scale import LARGEST_NM, NM, SMALLEST_NM, plain_unit
from morphoscope.io.units import time_s

SPOT = ("TrackMate", "Model", "AllSpots", "SpotsInFrame", "Spot")
FARTHEST = 1e15  # in the unit of the file


def recognises(path: Path) -> bool:
    """An XML file of TrackMate, or a folder with such files."""
    first = next(path.rglob("*.xml"), None) if path.is_dir() else path if path.suffix.lower() == ".xml" else None
    return first is not None and xml_root_name(first) == "TrackMate"


def read(path: Path) -> LabelSet:
    """Spots of one file or of all in a folder.

    Raises:
        InputError: nothing that can be read.
    """
    root = path if path.is_dir() else path.parent
    files = sorted(path.rglob("*.xml"), key=lambda p: natural_key(p.relative_to(root).as_posix())) if path.is_dir() else [path]
    if not files or not path.exists():
        raise InputError(f"there is no XML file in {path}; wanted one of TrackMate")
    records = Records(path)
    found: dict[str, Any] = {}
    for file in files:
        with records.record(file.relative_to(root).as_posix()):
            found |= _read_file(file, root, records)
    return records.found(root=root, **found)


def write(labels: LabelSet, path: Path) -> list[str]:
    """Write an XML file per image: `path` where it ends in .xml, else into that folder; returns what cannot be held.

    Raises:
        InputError: the size of an image is not known, or a class that XML cannot hold.
    """
    known = labels.with_sizes()
    series = series_of(known) if path.suffix.lower() == ".xml" else []
    if series:
        stack = as_stack(known, series)
        ((file, facts, found),) = stack.by_image()
        write_xml(path, document_of(file, facts, found, stack, folder=_folder(path, known.root / file), series=series))
        said = f"{len(series)} pictures are written as the frames of one stack: open them in Fiji as an image sequence"
        return [said, *losses(labels, changed_shapes={}, holds=ALL)]
    for target, file, facts, found in targets(known, path, ".xml"):
        write_xml(target, document_of(file, facts, found, known, folder=_folder(target, known.root / file)))
    return losses(labels, changed_shapes={}, holds=ALL)


def _folder(target: Path, image: Path) -> str:
    """Where TrackMate finds an image: nothing for one beside the file."""
    return "" if (target.parent / image.name).is_file() or not image.is_file() else str(image.parent.resolve())


def _read_file(path: Path, root: Path, records: Records) -> dict[str, Any]:
    """Read twice: for all but the spots, and then the spots one by one, as what they need stands behind them."""
    tree = _without_spots(path)
    if tree.tag != "TrackMate":
        records.note("XML files of something else than TrackMate: left out")
        return {}
    kept = parsed(tree.findtext(OURS) or "null")
    kept = kept if isinstance(kept, dict) else {}
    about = restored_image(kept.get("image"))
    pixel = _pixel(tree)
    file, facts = (about[0], about[1]) if about else _image(tree, path, root, records)
    series = _series(kept.get("series"), facts)
    records.images |= dict.fromkeys(series, replace(facts, frames=1)) or {file: facts}
    tracks = _tracks(tree, records)
    spots = kept["spots"] if isinstance(kept.get("spots"), dict) else {}
    for k, element in enumerate(_spots(path), 1):
        with records.record(f"{path.relative_to(root).as_posix()}: spot {k}"):
            if element.get("VISIBILITY") == "0":
                records.note("spots that a filter of TrackMate hides: left out")
                continue
            name = str(element.get("ID"))
            plain = _label(element, file, pixel, tracks.get(name))
            label = restored(plain, spots.get(name), drawn=lambda shape: _as_read(shape, pixel))
            records.labels.append(replace(label, file=series[label.frame], frame=0) if series else label)
    return {} if about is None else {"classes": about[2], **({"complete_region": about[3]} if about[3] else {})}


def _series(kept: Any, facts: ImageFacts) -> list[str]:
    """The pictures that the frames of a stack were written from; none where they are not as many as its frames."""
    names = kept if isinstance(kept, list) and all(isinstance(name, str) for name in kept) else []
    return names if len(names) == facts.frames and len(set(names)) == len(names) > 1 else []


def _without_spots(path: Path) -> Element:
    root = Element("empty")
    for _, root in ended_elements(path):
        if root.tag in ("Spot", "SpotsInFrame"):
            root.clear()
    return root


def _spots(path: Path) -> Iterator[Element]:
    for names, element in ended_elements(path):
        if names == SPOT:
            yield element
        if element.tag in ("Spot", "SpotsInFrame", "Track", OURS):
            element.clear()


def _pixel(tree: Element) -> tuple[float, float]:
    """Pixel height and width in the unit of the file."""
    data = tree.find("Settings/ImageData")
    given = [1.0 if data is None else number(data.get(name, "1")) for name in ("pixelheight", "pixelwidth")]
    if not (given[0] > 0 and given[1] > 0):
        raise ValueError(f"wanted a pixel size above 0, got {given[1]:g} x {given[0]:g}")
    return given[0], given[1]


def _image(tree: Element, path: Path, root: Path, records: Records) -> tuple[str, ImageFacts]:
    data, model = tree.find("Settings/ImageData"), tree.find("Model")
    values = {} if data is None else data.attrib
    name = PurePosixPath(plain_path(values.get("filename", ""))).name
    folders = [path.parent, path.parent / plain_path(values.get("folder", ""))]
    beside = next((folder / name for folder in folders if name and (folder / name).is_file()), None)
    file = image_of(path, root) if beside is None else Path(os.path.relpath(beside, root)).as_posix()
    frames = whole(values["nframes"], least=1) if values.get("nframes", "0") not in ("0", "") else 1
    unit = "pixel" if model is None else model.get("spatialunits", "pixel")
    scale, interval = _scale(unit, _pixel(tree), records), _interval(values, "" if model is None else model.get("timeunits", ""))
    facts = ImageFacts(size(values.get("width")), size(values.get("height")), frames, scale, interval)
    return file or name or path.relative_to(root).with_suffix("").as_posix(), facts


def _scale(unit: str, pixel: tuple[float, float], records: Records) -> tuple[float, float] | None:
    """The pixel size (y, x) in nm; None where the unit is none of length."""
    nm = NM.get(plain_unit(unit))
    if nm is None:
        return None
    if not all(SMALLEST_NM <= side * nm <= LARGEST_NM for side in pixel):
        records.note(f"a pixel size of {pixel[1] * nm:g} x {pixel[0] * nm:g} nm is absurd: not used")
        return None
    return pixel[0] * nm, pixel[1] * nm


def _interval(values: Mapping[str, str], unit: str) -> float | None:
    """Seconds between frames; None where the unit is none of time, or 1 s, which is what stands there when it is not known."""
    seconds = time_s(values.get("timeinterval", ""), unit)
    return None if seconds is None or not SHORTEST_S <= seconds <= LONGEST_S or seconds == 1 else seconds


def _tracks(tree: Element, records: Records) -> dict[str, int]:
    """The track of each spot that an edge touches; tracks that a filter hides are none."""
    found: dict[str, int] = {}
    shown = tree.find("Model/FilteredTracks")
    names = None if shown is None else {track.get("TRACK_ID") for track in shown.iterfind("TrackID")}
    for track in tree.iterfind("Model/AllTracks/Track"):
        with records.record(f"track {track.get('TRACK_ID')}"):
            track_id = whole(track.get("TRACK_ID"))
            if names is not None and track.get("TRACK_ID") not in names:
                records.note("tracks that a filter of TrackMate hides: their spots belong to no track")
                continue
            ends = [(str(edge.get("SPOT_SOURCE_ID")), str(edge.get("SPOT_TARGET_ID"))) for edge in track.iterfind("Edge")]
            found |= dict.fromkeys((spot for edge in ends for spot in edge), track_id)
            if any(len(set(spots)) < len(spots) for spots in zip(*ends, strict=True)):
                records.note("tracks that split or merge: all their branches have one track id")
    return found


def _label(element: Element, file: str, pixel: tuple[float, float], track: int | None) -> Label:
    name = re.fullmatch(r"(.+?)[ _]?ID\d+", element.get("name", ""), flags=re.DOTALL)
    quality = element.get("QUALITY")
    return Label(
        file=file,
        label=name.group(1) if name else "object",
        shape=_shape(element, pixel),
        frame=whole(element.get("FRAME", "0")),
        object_id=element.get("ID"),
        score=None if quality is None else number(quality),
        track_id=track,
    )


def _shape(element: Element, pixel: tuple[float, float]) -> Shape:
    """The outline of a spot, or a circle of its radius."""
    height, width = pixel
    x, y = _px(element.get("POSITION_X"), width) + 0.5, _px(element.get("POSITION_Y"), height) + 0.5
    corners = (element.text or "").split()
    if corners:
        sides = [_px(corner, (width, height)[k % 2]) + (x, y)[k % 2] for k, corner in enumerate(corners)]
        return Polygon((ring_of(sides),))
    radius = element.get("RADIUS")
    across, down = 2 * _px(radius, width), 2 * _px(radius, height)
    if not (across > 0 and down > 0):
        raise ValueError(f"wanted a radius above 0, got {radius}")
    return Ellipse(x, y, across, down) if across >= down else Ellipse(x, y, down, across, 90.0)


def _px(value: str | None, pixel: float) -> float:
    """A length in px from one in the unit of the file."""
    return number(number(value, least=-FARTHEST, most=FARTHEST) / pixel)


def _as_read(shape: Shape, pixel: tuple[float, float]) -> Shape:
    """What a shape is after it was written, without what is kept of it."""
    return _shape(spot_of(0, Label("", "", shape), pixel), pixel)
