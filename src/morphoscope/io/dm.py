"""Gatan DigitalMicrograph images and stacks (DM3, DM4), read frame by frame. The tree of tags is read by `dm_tags`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from morphoscope.calibration import Calibration
from morphoscope.errors import InputError
from morphoscope.io.colours import one_grey, wanted_channel
from morphoscope.io.dm_metadata import read_metadata
from morphoscope.io.dm_tags import BadTags, TagReader, Tags, at, stored_array
from morphoscope.io.frames import Image
from morphoscope.io.parts import Part, choose_part, only_grey
from morphoscope.io.raw import RawFrames
from morphoscope.io.units import frame_interval, length_nm, pixel_size, time_s

SUFFIXES = (".dm3", ".dm4")
NUMBERS = {1: "i2", 2: "f4", 6: "u1", 7: "i4", 9: "i1", 10: "u2", 11: "u4", 12: "f8", 14: "u1"}
NAMES = {3: "complex", 5: "packed complex", 8: "colour", 13: "complex", 23: "colour", 27: "packed complex", 28: "packed complex"}
COLOURS = (8, 23)
BINARY = 14


class DmFrames(RawFrames):
    """The image, or one of the images, of a DM3 or DM4 file; a third dimension is frames. Thumbnails are passed over.

    Args:
        path: the file.
        part: name or number of the image, where there are several.
        channel: of a colour image.

    Raises:
        InputError: no such file, damaged, spectra or complex numbers only, or several images and no `part`.
    """

    what = "a DM3 or DM4 file"

    def __init__(self, path: str | Path, *, part: str | int | None = None, channel: int | str | None = None) -> None:
        super().__init__()
        self._open(path)
        try:
            reader = TagReader(self._file, self._size)
            tags = reader.read()
            self._look(tags, reader.order, part, channel)
        except BadTags as error:
            self.close()
            raise InputError(f"{path} is damaged, cut off or no DigitalMicrograph file: {error}") from error
        except BaseException:
            self.close()
            raise

    def _look(self, tags: Tags, order: str, part: str | int | None, channel: int | str | None) -> None:
        image: Tags = choose_part(_images(tags, str(self.path)), part, str(self.path)).what
        code, sizes = _code(image), _sizes(image)
        data = stored_array(at(image, "ImageData", "Data"))
        if data is None or code not in NUMBERS and code not in COLOURS:
            raise InputError(
                f"{self.path}: an image of {NAMES.get(code, f'type {code}')} values cannot be read; save it as real numbers"
            )
        self._binary, self._channel, self._colourful = code == BINARY, None, code in COLOURS
        stored = np.dtype(f"{order}{NUMBERS.get(code, 'u4')}")
        self._lay_out((sizes[1], sizes[0]), sizes[2] if len(sizes) > 2 else 1, stored, data.offset)
        notes: list[str] = []
        if self._colourful:
            self.dtype, self._channel = np.dtype(np.uint8), wanted_channel(channel, 4, str(self.path), notes)
        else:
            only_grey(channel, str(self.path))
        self.metadata = read_metadata(image)
        self._calibrate(image, notes)
        self._say(notes)

    def _calibrate(self, image: Tags, notes: list[str]) -> None:
        every = at(image, "ImageData", "Calibrations", "Dimension") or {}
        axes = [(at(axis, "Scale"), str(at(axis, "Units") or "")) for axis in every.values() if isinstance(axis, dict)]
        size = pixel_size(axes[1], axes[0], "DM", notes) if len(axes) > 1 else None
        interval = None
        if len(axes) > 2 and self._count > 1:
            value, unit = axes[2]
            if time_s(value, unit) is not None:
                interval = frame_interval(value, unit, "DM", notes)
            elif spacing := length_nm(value, unit):
                self.metadata = {**self.metadata, "slice_spacing_nm": spacing}
        self.calibration = Calibration().updated("header (DM)", pixel_size_nm=size, frame_interval_s=interval)

    def _read(self, index: int) -> Image:
        image = self._read_stored(index)
        if self._colourful:
            blue_first = image.astype(image.dtype.newbyteorder("<")).view(np.uint8).reshape(*self.shape, 4)
            return one_grey(blue_first[..., [2, 1, 0, 3]], self._channel, str(self.path))
        if self._binary:
            return np.where(image != 0, np.uint8(255), np.uint8(0))
        return self._as_frame(image)


def _images(tags: Tags, where: str) -> list[Part]:
    """Images and stacks of images in the file, without thumbnails and spectra."""
    every = at(tags, "ImageList")
    thumbnails = {at(one, "ImageIndex") for one in (at(tags, "Thumbnails") or {}).values()}
    found, spectra = [], 0
    for k, image in enumerate(every.values() if isinstance(every, dict) else ()):
        sizes = _sizes(image)
        if k in thumbnails or not sizes:
            continue
        if len(sizes) in (2, 3) and min(sizes[:2]) > 1 and not _is_spectrum(image):
            code = _code(image)
            kind = NUMBERS.get(code)
            name = str(at(image, "Name") or f"image {k}")
            found.append(Part(name, tuple(sizes[::-1]), str(np.dtype(kind)) if kind else NAMES.get(code, f"type {code}"), image))
        else:
            spectra += 1
    if not found and spectra:
        raise InputError(f"{where} holds {spectra} spectra or data sets of four dimensions and no image; wanted images")
    return found


def _sizes(image: Any) -> list[int]:
    """Sizes along x, y, frames; those of one at the end are left out."""
    every = at(image, "ImageData", "Dimensions")
    sizes = list(every.values()) if isinstance(every, dict) else []
    if not all(isinstance(size, int) and size > 0 for size in sizes):
        return []
    while len(sizes) > 2 and sizes[-1] == 1:
        sizes.pop()
    return sizes


def _code(image: Tags) -> int:
    code = at(image, "ImageData", "DataType")
    return code if isinstance(code, int) else -1


def _is_spectrum(image: Tags) -> bool:
    kind = str(at(image, "ImageTags", "Meta Data", "Format") or "")
    return kind.startswith("Spectrum") or at(image, "ImageTags", "spim") is not None
