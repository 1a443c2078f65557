"""What readers of label formats share: damaged records set aside with their place, checked numbers, loaded XML and JSON."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any
from xml.etree import ElementTree

from morphoscope.errors import InputError
from morphoscope.io.label_set import ImageFacts, Label, LabelSet
from morphoscope.io.shapes import Box, Ellipse, Ring

LARGEST = 1e7  # px; no image is that wide
SHORTEST_S, LONGEST_S = 1e-15, 1e9  # between frames
MOST_PIXELS = 2**28  # of one mask
_MALFORMED = (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError, InputError)


class Records:
    """What a reader collects; a record that cannot be read is set aside and the rest goes on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.images: dict[str, ImageFacts] = {}
        self.labels: list[Label] = []
        self.notes: dict[str, int] = {}
        self.skipped: list[str] = []

    @contextmanager
    def record(self, place: str) -> Iterator[None]:
        """Read one record, found at `place`, in this block: what is malformed is listed with its place."""
        try:
            yield
        except _MALFORMED as error:
            reason = f"there is no {error}" if isinstance(error, KeyError) else str(error)
            self.skipped.append(f"{self.path}: {place}: {reason}")

    def note(self, text: str) -> None:
        """Say something of a record; what is said of several is said once, with their number."""
        self.notes[text] = self.notes.get(text, 0) + 1

    def found(self, *, root: Path, classes: Sequence[str] = (), **more: Any) -> LabelSet:
        """The label set.

        Raises:
            InputError: nothing but damaged records.
        """
        if self.skipped and not self.labels:
            listed = "; ".join(self.skipped[:3])
            raise InputError(f"{self.path} holds no record that can be read, {len(self.skipped)} are damaged: {listed}")
        notes = tuple(f"{text} ({count})" if count > 1 else text for text, count in self.notes.items())
        return LabelSet(
            self.images, tuple(self.labels), tuple(classes), root=root, notes=notes, skipped=tuple(self.skipped), **more
        )


def number(value: Any, *, least: float = -LARGEST, most: float = LARGEST) -> float:
    """A finite number in a range, from a number or text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"wanted a number, got {value!r:.60}")
    try:
        found = float(value)
    except ValueError:
        raise ValueError(f"wanted a number, got {value!r:.60}") from None
    if not least <= found <= most:
        raise ValueError(f"wanted a number from {least:g} to {most:g}, got {value!r:.60}")
    return found


def whole(value: Any, *, least: int = 0, most: int = int(LARGEST)) -> int:
    """A whole number in a range, from a number or text."""
    found = number(value, least=least, most=most)
    if found != int(found):
        raise ValueError(f"wanted a whole number, got {value!r:.60}")
    return int(found)


def size(value: Any) -> int | None:
    """A width or height in px; None where it is missing or 0, as some tools write for unknown."""
    return (whole(value) or None) if value not in (None, "") else None


def score_of(value: Any) -> float | None:
    """A score, None where there is none."""
    return None if value is None else number(value)


def interval_of(value: Any) -> float | None:
    """A time between frames in s, None where there is none."""
    return None if value is None else number(value, least=SHORTEST_S, most=LONGEST_S)


def text(value: Any, what: str) -> str:
    """Text that is not empty, from text or a number."""
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
        raise ValueError(f"wanted {what}, got {value!r:.60}")
    return str(value)


def box_of(x0: float, y0: float, x1: float, y1: float) -> Box:
    """The upright box between two corners, which must not fall together."""
    if not (x0 < x1 and y0 < y1):
        raise ValueError(f"wanted a box with x0 < x1 and y0 < y1, got {x0:g}, {y0:g}, {x1:g}, {y1:g}")
    return Box.from_corners(x0, y0, x1, y1)


def turned(angle_deg: float) -> float:
    """A direction within 0..360 degrees, for one that may be counted the other way round."""
    return angle_deg % 360.0 if angle_deg % 360.0 else 0.0


def ellipse_of(x: float, y: float, across: float, down: float, angle_deg: float) -> Ellipse:
    """The ellipse whose axis `across` lies along x before it is turned counter-clockwise."""
    if not (across > 0 and down > 0):
        raise ValueError(f"wanted an ellipse with positive axes, got {across:g} and {down:g}")
    return Ellipse(x, y, across, down, turned(angle_deg))


def ring_of(values: Sequence[Any]) -> Ring:
    """A ring from x, y, x, y ...; a last corner that repeats the first is left away."""
    numbers = [number(value) for value in values]
    corners = list(zip(numbers[::2], numbers[1::2], strict=True))
    if len(corners) > 3 and corners[0] == corners[-1]:
        corners.pop()
    if len(corners) < 3:
        raise ValueError(f"wanted a polygon of at least 3 corners, got {len(corners)}")
    return tuple(corners)


def plain_path(given: str) -> str:
    """A path with forward slashes."""
    return PureWindowsPath(given).as_posix() if "\\" in given else given


def is_absolute(given: str) -> bool:
    """Whether a path is absolute here or on Windows."""
    return PurePosixPath(given).is_absolute() or bool(PureWindowsPath(given).drive)


def inner_paths(files: Iterable[str]) -> dict[str, PurePosixPath]:
    """Paths below a folder of label files for images anywhere, subfolders kept.

    Images outside the folder lose drive, root, steps upward, and the folders they have in common where that keeps paths apart.
    """
    full = {file: _inner_path(file) for file in files}
    outside = [file for file in full if is_absolute(file) or ".." in PurePosixPath(file).parts]
    folders = [full[file].parent.parts for file in outside]
    shared = len(os.path.commonprefix(folders)) if folders else 0
    short = {file: PurePosixPath(*path.parts[shared:]) if file in outside else path for file, path in full.items()}
    apart = len({path.with_suffix("") for path in short.values()}) == len({path.with_suffix("") for path in full.values()})
    return short if apart else full


def _inner_path(file: str) -> PurePosixPath:
    parts = PurePosixPath(re.sub(r"^[A-Za-z]:", "", file)).parts
    kept = [part for part in parts if part not in ("..", "/", ".")]
    return PurePosixPath(*(kept or ["unnamed"]))


def load_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        InputError: it cannot be read; the line is named.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: line {error.lineno}, column {error.colno} is not valid JSON: {error.msg}") from error
    except (OSError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise InputError(f"{path} cannot be read as JSON: {error}") from error


def load_xml(path: Path) -> ElementTree.Element:
    """The root element of an XML file; documents that declare entities or a document type are refused.

    Raises:
        InputError: it cannot be read; the line is named.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    plain = content.replace(b"\0", b"")  # UTF-16 too
    if b"<!DOCTYPE" in plain or b"<!ENTITY" in plain:
        raise InputError(f"{path} declares a document type or entities (<!DOCTYPE, <!ENTITY), which label files have no use for")
    try:
        return ElementTree.fromstring(content)
    except ElementTree.ParseError as error:
        line, column = error.position
        raise InputError(f"{path}: line {line}, column {column} is not valid XML: {error}") from error
    except (ValueError, LookupError) as error:
        raise InputError(f"{path} cannot be read as XML: {error}") from error


def xml_root_name(path: Path) -> str:
    """The name of the first element of an XML file, without reading all of it; empty where there is none."""
    try:
        with path.open("rb") as file:
            head = file.read(65536).replace(b"\0", b"")
    except OSError:
        return ""
    found = re.search(rb"<([A-Za-z_][\w.-]*)", re.sub(rb"<!--.*?-->|<\?.*?\?>|<!.*?>", b"", head, flags=re.DOTALL))
    return found[1].decode("ascii") if found else ""


def first_character(path: Path) -> str:
    """The first character of a text file that is no space; empty where there is none."""
    try:
        with path.open("rb") as file:
            return file.read(4096).decode("utf-8-sig", errors="replace").lstrip()[:1]
    except OSError:
        return ""
