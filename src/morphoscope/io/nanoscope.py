"""Nanoscope files of Bruker and Veeco (.spm, .000, .001, ...): channels of scanning probe microscopes, heights in nm.

Source: the Nanoscope manual, "Nanoscope file format": a head of `\\name: value` lines in lists, then integers with the lowest
line first; a value is the integer times the hard scale of one step (`Z scale` over 2 to the bits) times the sensitivity it names.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from morphoscope.calibration import Calibration
from morphoscope.errors import InputError
from morphoscope.io.frames import Image
from morphoscope.io.heights import default_channel, to_nm
from morphoscope.io.parts import Part, choose_part, only_grey
from morphoscope.io.raw import RawFrames
from morphoscope.io.units import pixel_size, to_number
from morphoscope.io.values import frame_values

SUFFIXES = (".spm",)
MOST_HEAD = 2**20
HARD_SCALE = re.compile(r"V\s*(?:\[(?P<sens>[^\]]*)\])?\s*(?:\([^)]*\))?\s*(?P<value>[-+.\deE]+)\s*(?P<unit>\S*)")
NAME = re.compile(r'S\s*\[(?P<short>[^\]]*)\]\s*"(?P<name>[^"]*)"')
SENSITIVITY = re.compile(r"V\s+(?P<value>[-+.\deE]+)\s*(?P<unit>\S*)")
Fields = dict[str, str]


def is_numbered(suffix: str) -> bool:
    """Whether a suffix is a number as Nanoscope gives its files, such as .000."""
    return re.fullmatch(r"\.\d{3}", suffix) is not None


class NanoscopeFrames(RawFrames):
    """One channel of a Nanoscope file as a frame of float32, upright; lengths in nm, other values in the unit of `value_unit`.

    Without `part` (a channel's name or number) the first channel of heights is taken, or the only one.

    Raises:
        InputError: no such file, damaged, force curves, or several channels of which none is named as height.
        TruncatedError: the channel is not whole.
    """

    what = "a Nanoscope file"

    def __init__(self, path: str | Path, *, part: str | int | None = None, channel: int | str | None = None) -> None:
        super().__init__()
        only_grey(channel, str(path))
        self._open(path)
        try:
            self._look(part)
        except BaseException:
            self.close()
            raise

    def _look(self, part: str | int | None) -> None:
        shared, images = self._head()
        parts = [made for image in images if (made := _part(image)) is not None]
        chosen = choose_part(parts, default_channel(parts) if part is None else part, str(self.path))
        image: Fields = chosen.what
        height, width = chosen.shape
        bits = 8 * self._bytes_per_value(image, height * width)
        self._lay_out((height, width), 1, np.dtype(f"<i{bits // 8}"), _whole(image, "data offset"))
        notes: list[str] = []
        self.calibration = Calibration().updated("header (Nanoscope)", pixel_size_nm=_pixel_size(image, (height, width), notes))
        step, unit = _step(image, shared, bits, notes)
        factor, found = to_nm(unit)
        self._factor = step * factor
        self.metadata = {"channel": chosen.name, **found, **_metadata(shared)}
        if len(parts) > 1:
            notes.append(f"channel {chosen.name!r} of {', '.join(repr(one.name) for one in parts)}")
        self.notes = tuple(notes)

    def _head(self) -> tuple[Fields, list[Fields]]:
        """Fields of the lists before the images, and those of each image; names in small letters."""
        raw = self._file.read(MOST_HEAD)
        head = raw.partition(b"\\*File list end")[0]
        if not raw.startswith(b"\\*File list"):
            raise InputError(f"{self.path} is no Nanoscope file: it does not begin with \\*File list")
        shared: Fields = {}
        images: list[Fields] = []
        fields = shared
        for line in head.decode("latin-1").splitlines():
            if line.lower().startswith("\\*ciao image list"):
                images.append(fields := {})
            elif line.startswith("\\*"):
                fields = shared
            else:
                name, _, value = line.lstrip("\\").partition(": ")
                fields.setdefault(re.sub(r"^@\d+:", "@", name.strip().lower()), value.strip())
        return shared, images

    def _bytes_per_value(self, image: Fields, count: int) -> int:
        """From the length of the data: newer versions store 4 bytes and still state 2."""
        length = _whole(image, "data length")
        width = length // count if count else 0
        if width not in (2, 4):
            raise InputError(f"{self.path}: {length} bytes are stated for {count} values; wanted 2 or 4 bytes for each")
        return width

    def _read(self, index: int) -> Image:
        heights = self._read_stored(index)[::-1].astype(np.float64)
        return frame_values(heights, str(self.path), self._factor)


def _part(image: Fields) -> Part | None:
    found = NAME.search(image.get("@image data", ""))
    shape = _whole(image, "number of lines"), _whole(image, "samps/line")
    if found is None or min(shape) < 1:
        return None
    direction = image.get("line direction", "")
    name = found.group("name") or found.group("short")
    return Part(f"{name} ({direction})" if direction.lower() == "retrace" else name, shape, "integers", image)


def _whole(image: Fields, name: str) -> int:
    text = image.get(name, "").split()
    return int(text[0]) if text and re.fullmatch(r"\d{1,12}", text[0]) else 0


def _pixel_size(image: Fields, shape: tuple[int, int], notes: list[str]) -> tuple[float, float] | None:
    """nm per px from the scan size, width and height with one unit; a single number is the width, pixels are then square."""
    words = image.get("scan size", "").split()
    if len(words) < 2:
        notes.append("the Nanoscope header states no scan size; it has no scale")
        return None
    unit = words[-1].replace("~m", "um")
    width = to_number(words[0]) / shape[1]
    height = to_number(words[1]) / shape[0] if len(words) > 2 else width
    return pixel_size((height, unit), (width, unit), "Nanoscope", notes)


def _step(image: Fields, shared: Fields, bits: int, notes: list[str]) -> tuple[float, str]:
    """What one step of the integers is worth, and its unit; 1 and no unit where the header does not say it."""
    scale = HARD_SCALE.match(image.get("@z scale", ""))
    value = to_number(scale.group("value")) if scale else 0.0
    if scale is None or not np.isfinite(value) or value == 0:
        notes.append("the Nanoscope header states no Z scale that can be used; values are as stored")
        return 1.0, ""
    step, unit = value / 2**bits, scale.group("unit")
    if not (name := scale.group("sens")):
        return step, unit
    sensitivity = SENSITIVITY.match(shared.get(f"@{name.lower()}", ""))
    factor = to_number(sensitivity.group("value")) if sensitivity else float("nan")
    if sensitivity is None or not np.isfinite(factor) or factor == 0:
        notes.append(f"the Nanoscope header does not state the sensitivity {name!r}; values are in {unit or 'steps'}, not in nm")
        return step, unit
    over = sensitivity.group("unit").partition("/")
    return step * factor, over[0].replace("~m", "um") if over[2] else unit


def _metadata(shared: Fields) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, name in (("instrument", "microscope"), ("instrument", "description"), ("acquired_as_written", "date")):
        if value := shared.get(name):
            found.setdefault(key, value)
    return found
