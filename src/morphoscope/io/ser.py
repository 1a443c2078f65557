"""SER series of TIA (FEI, Thermo Fisher), read image by image; what a sidecar EMI file says of the instrument is taken too.

Source: C. Boothroyd's description of the SER format, https://www.ntu.edu.sg/home/cbb/info/TIAformat/ (series versions 0x0210 and
0x0220). The first row stored is the bottom one. Pixel sizes are in m; images of one series have one size.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from morphoscope.calibration import Calibration
from morphoscope.errors import InputError, TruncatedError
from morphoscope.io.emi import read_emi
from morphoscope.io.frames import Image
from morphoscope.io.parts import only_grey, only_part
from morphoscope.io.raw import MOST_FRAMES, RawFrames
from morphoscope.io.units import even_interval, pixel_size

SUFFIXES = (".ser",)
NUMBERS = {1: "<u1", 2: "<u2", 3: "<u4", 4: "<i1", 5: "<i2", 6: "<i4", 7: "<f4", 8: "<f8"}
IMAGES, SPECTRA = 0x4122, 0x4120
TIME, TIME_AND_PLACE = 0x4152, 0x4142
WIDE_FROM = 0x0220
ELEMENT = struct.Struct("<ddIddIHII")


class SerFrames(RawFrames):
    """Images of a SER file as stored, turned upright.

    `frame_data` has the time (whole seconds) and the scan or stage position of each image, where stated.

    Raises:
        InputError: no such file, damaged, spectra, or complex numbers.
        TruncatedError: not one whole image is there.
    """

    what = "a SER file"

    def __init__(self, path: str | Path, *, part: str | int | None = None, channel: int | str | None = None) -> None:
        super().__init__()
        only_part(part, str(path))
        only_grey(channel, str(path))
        self._open(path)
        try:
            self._look()
        except (struct.error, OverflowError) as error:
            self.close()
            raise InputError(f"{path} is damaged, cut off or no SER file: {error}") from error
        except BaseException:
            self.close()
            raise

    def _look(self) -> None:
        order, series, version, kind, tag, total, valid = self._take(0, "<HHHIIII")
        if (order, series) != (0x4949, 0x0197):
            raise InputError(f"{self.path} is no SER file: it does not begin with the mark of one")
        if kind != IMAGES:
            what = "spectra" if kind == SPECTRA else f"elements of kind {kind:#x}"
            raise InputError(f"{self.path} holds {what} and no images; wanted images")
        wide = "Q" if version >= WIDE_FROM else "I"
        if not 1 <= valid <= min(total, MOST_FRAMES):
            raise InputError(f"{self.path}: the header states {valid} valid images of {total}, which cannot be")
        (table,) = self._take(22, f"<{wide}")
        self._offsets = self._places(table, wide, valid)
        element = self._element(0)
        x, y, stored, width, height = element
        if stored not in NUMBERS:
            raise InputError(
                f"{self.path}: values of type {stored} (complex or unknown) cannot be read; save the image as real numbers"
            )
        self._lay_out((height, width), valid, np.dtype(NUMBERS[stored]))
        notes: list[str] = []
        if valid < total:
            notes.append(f"{valid} of the {total} images that were planned were taken")
        self._calibrate(x, y, notes)
        tags = self._places(table + total * struct.calcsize(wide), wide, valid)
        self._read_tags(tags, tag, notes)
        self._say(notes)

    def _take(self, offset: int, layout: str) -> tuple[Any, ...]:
        self._file.seek(offset)
        return struct.unpack(layout, self._file.read(struct.calcsize(layout)))

    def _places(self, table: int, wide: str, count: int) -> list[int]:
        """The offsets of `count` elements from a table at `table`, as many as the file has."""
        size = struct.calcsize(wide)
        if not 0 < table < self._size:
            return []
        self._file.seek(table)
        raw = self._file.read(min(count * size, self._size - table))
        return [int(place) for place in np.frombuffer(raw[: len(raw) // size * size], f"<u{size}")]

    def _element(self, index: int) -> tuple[float, float, int, int, int]:
        """Pixel size in m along x and y, type code, width and height of one image."""
        if index >= len(self._offsets) or self._offsets[index] > self._size - ELEMENT.size:
            raise TruncatedError(f"{self.path} ends early, before image {index}; copy it again from its source", index)
        _, x, _, _, y, _, kind, width, height = self._take(self._offsets[index], ELEMENT.format)
        return x, y, kind, width, height

    def _offset(self, index: int) -> int:
        return self._offsets[index] + ELEMENT.size if index < len(self._offsets) else self._size

    def _read(self, index: int) -> Image:
        if self._is_there(index):
            _, _, kind, width, height = self._element(index)
            if (height, width) != self.shape or NUMBERS.get(kind) != self._stored.str.replace("|", "<"):
                raise TruncatedError(
                    f"{self.path}: image {index} has {width} x {height} px of type {kind}, unlike the first", index
                )
        return self._as_frame(self._read_stored(index)[::-1])

    def _calibrate(self, x: float, y: float, notes: list[str]) -> None:
        self.metadata, diffraction, sidecar = read_emi(self.path, notes)
        if diffraction:
            notes.append(f"{sidecar} says that these are diffraction patterns; their pixel size is no length and not used")
            return
        if x == 0 and y == 0:
            notes.append("the SER header states a pixel size of zero; it is not used")
            return
        size = pixel_size((y, "m"), (x, "m"), "SER", notes)
        if size is not None and not sidecar:
            notes.append(
                "the SER header does not say whether these are images or diffraction patterns; the scale holds for images"
            )
        self.calibration = Calibration().updated("header (SER)", pixel_size_nm=size)

    def _read_tags(self, places: list[int], kind: int, notes: list[str]) -> None:
        """Time and position of each image, as far as the tags are there."""
        if kind not in (TIME, TIME_AND_PLACE):
            return
        layout = struct.Struct("<HHIdd" if kind == TIME_AND_PLACE else "<HHI")
        rows = []
        for place in places:
            if not 0 < place <= self._size - layout.size:
                break
            rows.append(self._take(place, layout.format)[2:])
        if not rows or any(not np.isfinite(row).all() for row in rows):
            return
        values = np.array(rows, dtype=float)
        found: dict[str, Any] = {"frame": np.arange(len(values))}
        if (values[:, 0] > 0).all():
            found["time_s"] = values[:, 0] - values[0, 0]
            self.metadata = {"acquired": _iso(values[0, 0]), **self.metadata}
            interval = even_interval(found["time_s"], notes) if len(values) == self._count else None
            self.calibration = self.calibration.updated("header (SER)", frame_interval_s=interval)
        if kind == TIME_AND_PLACE:
            found["position_x_um"], found["position_y_um"] = values[:, 1] * 1e6, values[:, 2] * 1e6
        if len(found) > 1:
            self.frame_data = pd.DataFrame(found)


def _iso(seconds: float) -> str:
    """A time given in s since 1970 (UTC) in ISO 8601."""
    return str(np.datetime64(int(seconds), "s")) + "+00:00"
