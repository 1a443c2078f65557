"""What writers of label formats share: substitutes for shapes a format has no room for, and files put in place whole."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from morphoscope.errors import InputError
from morphoscope.io.label_formats.reading import MOST_PIXELS
from morphoscope.io.label_set import ImageFacts, LabelSet
from morphoscope.io.shapes import Box, Ellipse, Mask, Polygon, Ring, Shape, as_polygon, rasterize
from morphoscope.io.tables import replacing

# what becomes of a shape, for `losses`
BOXED = "the upright boxes around them are written"
CORNERED = "their corners are written as polygons"
OUTLINED = "their outlines are written as polygons"
JOINED = "their rings are written as one, joined by lines of no width"
OUTLINED_AND_JOINED = "their outlines are written as polygons, rings joined to one by lines of no width"
FILLED = "the pixels inside the image are written as masks"
LEFT_OUT = "left out"
ROUGH_ELLIPSES = "polygons of 64 corners are written"


def first_frames(labels: LabelSet) -> tuple[LabelSet, list[str]]:
    """Labels of the first frame of each image, and a sentence on the others where there are any."""
    kept = tuple(label for label in labels.labels if label.frame == 0)
    left_out = len(labels.labels) - len(kept)
    many = "1 object" if left_out == 1 else f"{left_out} objects"
    said = [f"{many} in frames after the first: left out, as frame numbers cannot be held"] if left_out else []
    return replace(labels, labels=kept), said


def one_ring(shape: Box | Ellipse | Polygon | Mask) -> Ring:
    """Its outline as a single ring; several are joined by lines of no width, so that the same pixels are inside."""
    first, *others = as_polygon(shape).rings
    if not others:
        return first
    path = list(_directed(first, as_polygon(shape).rings))
    start = path[0]
    path.append(start)
    for ring in others:
        turned = _directed(ring, as_polygon(shape).rings)
        path += [*turned, turned[0], start]
    return tuple(path[:-1])


def filled(shape: Shape, facts: ImageFacts) -> Mask | None:
    """Its pixels inside an image as a mask; None where there are none."""
    if facts.width is None or facts.height is None:
        raise InputError("the size of an image is needed to fill a shape")
    if isinstance(shape, Mask) and inside_image(shape, facts):
        return shape
    x0, y0, height, width = window(shape, facts)
    pixels = rasterize(moved(shape, -x0, -y0), height, width)
    return Mask.from_pixels(pixels, x0, y0) if pixels.any() else None


def window(shape: Shape, facts: ImageFacts) -> tuple[int, int, int, int]:
    """x0, y0, height and width of the part of an image that a shape lies in; height or width 0 where there is none.

    Raises:
        InputError: it is too large to be filled.
    """
    x0, y0, x1, y1 = shape.bounds
    left, top = max(math.floor(x0), 0), max(math.floor(y0), 0)
    right, bottom = min(math.ceil(x1), facts.width or 0), min(math.ceil(y1), facts.height or 0)
    height, width = max(bottom - top, 0), max(right - left, 0)
    if height * width > MOST_PIXELS:
        raise InputError(f"a shape of {height} x {width} px is too large to be filled; at most {MOST_PIXELS} px are")
    return left, top, height, width


def moved(shape: Shape, dx: int, dy: int) -> Shape:
    """The shape moved by whole px."""
    if isinstance(shape, Polygon):
        return Polygon(tuple(tuple((x + dx, y + dy) for x, y in ring) for ring in shape.rings))
    if isinstance(shape, Mask):
        return replace(shape, x0=shape.x0 + dx, y0=shape.y0 + dy)
    return replace(shape, x=shape.x + dx, y=shape.y + dy)


def inside_image(shape: Shape, facts: ImageFacts) -> bool:
    """Whether no part of a shape lies beyond the edges of its image."""
    x0, y0, x1, y1 = shape.bounds
    return x0 >= 0 and y0 >= 0 and x1 <= (facts.width or 0) and y1 <= (facts.height or 0)


def plain(value: float) -> str:
    """A number that reads back the same, whole ones without decimals."""
    return str(int(value)) if value == int(value) else repr(float(value))


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 file under a temporary name and put it in place.

    Raises:
        InputError: a name that is no Unicode text, as a file name may be.
    """
    try:
        content = text.encode("utf-8")
    except UnicodeEncodeError as error:
        around = text[max(error.start - 20, 0) : error.end + 20]
        raise InputError(f"{path}: a name is no valid Unicode text, near {around!r}; rename the file or class") from error
    with replacing(path) as part:
        part.write_bytes(content)


def write_xml(path: Path, root: ElementTree.Element) -> None:
    """Write an indented UTF-8 XML file and put it in place."""
    ElementTree.indent(root)
    with replacing(path) as part:
        ElementTree.ElementTree(root).write(part, encoding="utf-8", xml_declaration=True)


def refuse_line_breaks(names: Iterable[str], path: Path, *, kinds: str) -> None:
    """Raise where a name cannot stand on a line of its own in a text file.

    Raises:
        InputError: a name with a line break, or with spaces at its ends.
    """
    wrong = [name for name in names if name != name.strip() or len(name.splitlines()) != 1]
    if wrong:
        raise InputError(f"{path}: {kinds} must be on one line without spaces at the ends for this format, got {wrong[0]!r}")


def xml_text(value: str) -> str:
    """Text that XML can hold.

    Raises:
        InputError: a control character, which XML has no way to write.
    """
    wrong = [c for c in value if (ord(c) < 32 and c not in "\t\n") or 0xD800 <= ord(c) <= 0xDFFF or ord(c) in (0xFFFE, 0xFFFF)]
    if wrong:
        raise InputError(f"XML cannot hold the character {wrong[0]!r} in {value!r}; rename it or take another label format")
    return value


def _directed(ring: Ring, rings: tuple[Ring, ...]) -> Ring:
    """The ring in the direction that makes areas of joined rings add up: holes run against what surrounds them."""
    depth = sum(bool(_surrounds(other, ring[0])) for other in rings if other is not ring)
    corners = np.asarray(ring, dtype=float)
    onward = np.roll(corners, -1, axis=0)
    area = float(np.sum(corners[:, 0] * onward[:, 1] - onward[:, 0] * corners[:, 1]))
    return ring if (area > 0) == (depth % 2 == 0) else (ring[0], *ring[:0:-1])


def _surrounds(ring: Ring, point: tuple[float, float]) -> int:
    crossings = 0
    for (xa, ya), (xb, yb) in zip(ring, (*ring[1:], ring[0]), strict=True):
        if min(ya, yb) <= point[1] < max(ya, yb):
            crossings += xa + (point[1] - ya) * (xb - xa) / (yb - ya) < point[0]
    return crossings % 2
