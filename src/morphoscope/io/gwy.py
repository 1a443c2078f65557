"""Gwyddion files (.gwy): channels of scanning probe microscopes, heights in nm.

Source: the Gwyddion user guide, "Gwyddion native file format" (objects of named, typed components, all little-endian).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from morphoscope.calibration import Calibration
from morphoscope.errors import InputError
from morphoscope.io.frames import Image
from morphoscope.io.heights import default_channel, to_nm
from morphoscope.io.parts import Part, choose_part, only_grey
from morphoscope.io.raw import RawFrames
from morphoscope.io.units import pixel_size
from morphoscope.io.values import frame_values

SUFFIXES = (".gwy",)
SIMPLE = {"b": "<?", "c": "<c", "i": "<i", "q": "<q", "d": "<d"}
WIDTHS = {"C": 1, "I": 4, "Q": 8, "D": 8}
DEEPEST = 32
LONGEST_NAME = 2**16
Object = dict[str, Any]


class BadFile(ValueError):
    """The serialised objects are damaged."""


@dataclass(frozen=True)
class StoredNumbers:
    """An array that was left in the file: offset, number of elements, type letter."""

    offset: int
    count: int
    letter: str


class GwyFrames(RawFrames):
    """One channel of a Gwyddion file as a frame of float32; lengths in nm (`metadata["height_unit"]`), other values as they are.

    Without `part` (a channel's title or number) the first channel of heights is taken, or the only one.

    Raises:
        InputError: no such file, damaged, or several channels of which none is named as height.
        TruncatedError: the channel is not whole.
    """

    what = "a Gwyddion file"

    def __init__(self, path: str | Path, *, part: str | int | None = None, channel: int | str | None = None) -> None:
        super().__init__()
        only_grey(channel, str(path))
        self._open(path)
        try:
            self._look(part)
        except (BadFile, struct.error, OverflowError) as error:
            self.close()
            raise InputError(f"{path} is damaged, cut off or no Gwyddion file: {error}") from error
        except BaseException:
            self.close()
            raise

    def _look(self, part: str | int | None) -> None:
        if self._file.read(4) != b"GWYP":
            raise InputError(f"{self.path} is no Gwyddion file: it does not begin with GWYP")
        _, content = _read_object(self._file, self._size, 0)
        parts = _channels(content)
        chosen = choose_part(parts, default_channel(parts) if part is None else part, str(self.path))
        fields: Object = chosen.what
        data = fields["data"]
        height, width = chosen.shape
        if data.count != height * width:
            raise InputError(f"{self.path}: the channel {chosen.name!r} states {width} x {height} px but {data.count} values")
        self._lay_out((height, width), 1, np.dtype("<f8"), data.offset)
        notes: list[str] = []
        unit = _unit(fields.get("si_unit_xy"))
        sizes = [(_float(fields.get(name)) / n, unit) for name, n in (("yreal", height), ("xreal", width))]
        size = pixel_size(sizes[0], sizes[1], "Gwyddion", notes)
        self.calibration = Calibration().updated("header (Gwyddion)", pixel_size_nm=size)
        self._factor, found = to_nm(_unit(fields.get("si_unit_z")))
        self.metadata = {"channel": chosen.name, **found}
        if len(parts) > 1:
            notes.append(f"channel {chosen.name!r} of {', '.join(repr(one.name) for one in parts)}")
        self.notes = tuple(notes)

    def _read(self, index: int) -> Image:
        return frame_values(self._read_stored(index), str(self.path), self._factor)


def _channels(content: Object) -> list[Part]:
    """The data fields `/N/data` of the container, with their titles."""
    found = []
    for key, value in content.items():
        number = key.removeprefix("/").removesuffix("/data")
        if not (key == f"/{number}/data" and number.isdecimal() and isinstance(value, dict)):
            continue
        width, height, data = value.get("xres"), value.get("yres"), value.get("data")
        if isinstance(width, int) and isinstance(height, int) and isinstance(data, StoredNumbers) and data.letter == "D":
            title = str(content.get(f"/{number}/data/title") or f"channel {number}")
            found.append((int(number), Part(title, (height, width), "float64", value)))
    return [part for _, part in sorted(found, key=lambda one: one[0])]


def _unit(found: Any) -> str:
    text = found.get("unitstr") if isinstance(found, dict) else None
    return text if isinstance(text, str) else ""


def _float(found: Any) -> float:
    return float(found) if isinstance(found, float) else 0.0


def _read_object(file: BinaryIO, end: int, depth: int) -> tuple[str, Object]:
    """Name and components of the object at the place of `file`; arrays of numbers are left where they are."""
    if depth > DEEPEST:
        raise BadFile(f"objects lie more than {DEEPEST} deep in each other")
    name = _text(file)
    (size,) = struct.unpack("<I", _take(file, 4))
    stop = min(file.tell() + size, end)
    found: Object = {}
    while file.tell() < stop:
        key, letter = _text(file), _take(file, 1).decode("latin-1")
        found[key] = _component(file, letter, end, depth)
    return name, found


def _component(file: BinaryIO, letter: str, end: int, depth: int) -> Any:
    if letter in SIMPLE:
        return struct.unpack(SIMPLE[letter], _take(file, struct.calcsize(SIMPLE[letter])))[0]
    if letter == "s":
        return _text(file)
    if letter == "o":
        return _read_object(file, end, depth + 1)[1]
    if letter not in (*WIDTHS, "S", "O"):
        raise BadFile(f"a component is of type {letter!r}, which is not known")
    (count,) = struct.unpack("<I", _take(file, 4))
    if letter in WIDTHS:
        place = file.tell()
        file.seek(min(place + count * WIDTHS[letter], end))
        return StoredNumbers(place, count, letter)
    if count > end - file.tell():
        raise BadFile(f"an array states {count} elements")
    return [_text(file) if letter == "S" else _read_object(file, end, depth + 1)[1] for _ in range(count)]


def _take(file: BinaryIO, size: int) -> bytes:
    raw = file.read(size)
    if len(raw) < size:
        raise BadFile("it ends early")
    return raw


def _text(file: BinaryIO) -> str:
    """Text up to its closing zero byte."""
    place, raw = file.tell(), file.read(256)
    while b"\0" not in raw:
        more = file.read(4096)
        if not more or len(raw) > LONGEST_NAME * 64:
            raise BadFile("a name or text does not end")
        raw += more
    text = raw[: raw.index(b"\0")]
    file.seek(place + len(text) + 1)
    return text.decode("utf-8", "replace")
