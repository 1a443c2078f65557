"""A folder or list of pictures (PNG, JPEG, TIFF, BMP) as one lazy series in natural order."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from morphoscope.calibration import Calibration
from morphoscope.errors import InputError, TruncatedError
from morphoscope.io.base import Reader
from morphoscope.io.frames import Image
from morphoscope.io.pictures import FLAT, TIFF, flat_header, read_flat
from morphoscope.io.sem import agree
from morphoscope.io.sem_sidecars import Sidecars
from morphoscope.io.tiff import TiffFrames
from morphoscope.io.units import even_interval

SUFFIXES = (*FLAT, *TIFF)


def natural_key(path: Path | str) -> list[tuple[int, int, str]]:
    """Sort key that puts `frame2` before `frame10`; letters' case does not count."""
    parts = re.split(r"(\d+)", str(path).lower())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]


def find_pictures(folder: Path, *, deep: bool = False) -> list[Path]:
    """Pictures directly in a folder, or in its folders, too, in natural order; hidden files are left out."""
    found = folder.rglob("*") if deep else folder.glob("*")
    return sorted(
        (p for p in found if p.suffix.lower() in SUFFIXES and p.is_file() and not p.name.startswith(".")), key=natural_key
    )


def list_images(folder: Path) -> list[Path]:
    """See `find_pictures`, in the folder itself.

    Raises:
        InputError: there is none.
    """
    found = find_pictures(folder)
    if not found:
        raise InputError(f"no pictures in the folder {folder}; wanted {', '.join(SUFFIXES)} files directly in it")
    return found


@dataclass(frozen=True)
class _Header:
    """What is known of a picture without its pixels; dtype None where only these tell it."""

    shape: tuple[int, int]
    dtype: np.dtype[Any] | None
    calibration: Calibration = field(default_factory=Calibration)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class ImageFrames(Reader):
    """Picture files as frames, each read when it is asked for; sizes and dtypes must be those of the first good one.

    One that is damaged raises `TruncatedError` when it is read; in order, the frames before it are good. The scale comes from the
    pictures' headers and the text files beside them, and holds if all pictures state the same. Where all state when they were
    acquired, `frame_data` has `time_s` since the first. `metadata` is that of the first good picture.
    """

    def __init__(self, paths: Sequence[Path], *, root: Path | None = None, channel: int | str | None = None) -> None:
        """Take files in this order; `root` is what `name` is relative to, `channel` the colour taken instead of the luma.

        Raises:
            InputError: no file, none can be read, or one has a different size or depth.
            UsageError: there is no such channel.
        """
        super().__init__()
        self.paths = [Path(p) for p in paths]
        if not self.paths:
            raise InputError("an empty list of pictures was given; wanted at least one")
        self.root, self._channel, self._sidecars = root, channel, Sidecars()
        self._first, image, self.notes = self._first_good()
        self.shape, self.dtype = (image.shape[0], image.shape[1]), image.dtype
        self._check_headers()

    def _first_good(self) -> tuple[Path, Image, tuple[str, ...]]:
        """The first picture that can be read; where none can, the error of the first."""
        wrong: InputError | None = None
        for path in self.paths:
            try:
                return path, *_read_picture(path, self._channel)
            except InputError as error:
                wrong = wrong or error
        assert wrong is not None
        raise wrong

    def __repr__(self) -> str:
        return f"ImageFrames({len(self.paths)} files from {str(self.paths[0])!r})"

    def __len__(self) -> int:
        return len(self.paths)

    def name(self, index: int) -> str:
        """The picture's path relative to the folder, with forward slashes."""
        path = self.paths[index]
        if self.root is not None and path.is_relative_to(self.root):
            return path.relative_to(self.root).as_posix()
        return path.name if self.root is not None or len({p.name for p in self.paths}) == len(self.paths) else path.as_posix()

    def _read(self, index: int) -> Image:
        path = self.paths[index]
        try:
            image = _read_picture(path, self._channel)[0]
        except TruncatedError:
            raise
        except InputError as error:
            raise TruncatedError(str(error), index) from error
        self._check_alike(path, (image.shape[0], image.shape[1]), image.dtype)
        return image

    def _check_alike(self, path: Path, shape: tuple[int, int], dtype: np.dtype[Any] | None) -> None:
        if shape != self.shape:
            raise InputError(
                f"all frames of a series must have one size: {self._first} is {self.shape[1]} x {self.shape[0]} px, "
                f"{path} is {shape[1]} x {shape[0]} px; put them in separate folders, or give the files one by one"
            )
        if dtype is not None and dtype != self.dtype:
            raise InputError(
                f"all frames of a series must have one depth: {self._first} is {self.dtype}, {path} is {dtype}; "
                "convert one kind to the other"
            )

    def _check_headers(self) -> None:
        """Refuse other sizes and depths before the work begins, and doubt a scale that not all state; damage shows when read."""
        first: _Header | None = None
        odd: Path | None = None
        moments: list[str | None] = []
        for path in self.paths:
            found = self._header(path)
            moments.append(None if found is None else found.metadata.get("acquired"))
            if found is None:
                continue
            self._check_alike(path, found.shape, found.dtype)
            if first is None and path == self._first:
                first = found
                self.calibration, self.metadata = found.calibration, found.metadata
                self.notes += tuple(note for note in found.notes if note not in self.notes)
            elif first is not None and not _agree(first.calibration, found.calibration):
                odd = odd or path
        if odd is not None:
            self.calibration = Calibration()
            self.notes += (f"{self._first.name} and {odd.name} state different scales or intervals; none is used",)
        if len(self.paths) > 1 and (times := _seconds(moments)) is not None:
            self.frame_data = pd.DataFrame({"frame": np.arange(len(times)), "time_s": times})
            self._take_interval(times)

    def _take_interval(self, times: list[float]) -> None:
        notes: list[str] = []
        if self.calibration.frame_interval_s is None:
            interval = even_interval(times, notes)
            self.calibration = self.calibration.updated("header (times of the pictures)", frame_interval_s=interval)
            self.notes += tuple(notes)

    def _header(self, path: Path) -> _Header | None:
        """What a picture's header and the text beside it state; None where it cannot be read."""
        if path.suffix.lower() in TIFF:
            try:
                with TiffFrames(path, channel=self._channel, sidecars=self._sidecars) as file:
                    return _Header(file.shape, file.dtype, file.calibration, file.metadata, file.notes)
            except InputError:
                return None
        try:
            flat = flat_header(path)
        except OSError:
            return None
        if flat is None:
            return None
        agreed = agree(Calibration(), self._sidecars.read(path), flat.shape)
        return _Header(flat.shape, flat.dtype, agreed.calibration, agreed.metadata, agreed.notes)


def _agree(one: Calibration, other: Calibration) -> bool:
    """Whether two pictures state the same scale and interval, to a millionth."""
    pairs = [(one.frame_interval_s, other.frame_interval_s)]
    pairs += zip(one.pixel_size_nm or (None, None), other.pixel_size_nm or (None, None), strict=True)
    return all((a is None) == (b is None) and (a is None or b is None or abs(a - b) <= 1e-6 * abs(a)) for a, b in pairs)


def _seconds(moments: Sequence[str | None]) -> list[float] | None:
    """Seconds since the first of ISO 8601 times; None where one is missing, or some have a time zone and some have not."""
    try:
        read = [datetime.fromisoformat(moment or "") for moment in moments]
        return [(moment - read[0]).total_seconds() for moment in read]
    except (ValueError, TypeError):
        return None


def _read_picture(path: Path, channel: int | str | None) -> tuple[Image, tuple[str, ...]]:
    if path.suffix.lower() not in TIFF:
        return read_flat(path, channel)
    with TiffFrames(path, channel=channel) as file:
        if len(file) > 1:
            raise InputError(f"{path} is a stack of {len(file)} pages; wanted one picture per file in a folder or list")
        return file[0], ()
