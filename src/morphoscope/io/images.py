"""A folder or list of pictures (PNG, JPEG, TIFF, BMP) as one lazy series in natural order."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from morphoscope.calibration import Calibration
from morphoscope.errors import InputError, TruncatedError
from morphoscope.io.base import Reader
from morphoscope.io.frames import Image
from morphoscope.io.pictures import FLAT, TIFF, flat_header, read_flat
from morphoscope.io.tiff import TiffFrames

SUFFIXES = (*FLAT, *TIFF)


def natural_key(path: Path | str) -> list[tuple[int, int, str]]:
    """Sort key that puts `frame2` before `frame10`; letters' case does not count."""
    parts = re.split(r"(\d+)", str(path).lower())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]


def list_images(folder: Path) -> list[Path]:
    """Pictures directly in a folder, in natural order; hidden files are left out.

    Raises:
        InputError: there is none.
    """
    found = [p for p in folder.iterdir() if p.is_file() and p.suffix.lower() in SUFFIXES and not p.name.startswith(".")]
    if not found:
        raise InputError(f"no pictures in the folder {folder}; wanted {', '.join(SUFFIXES)} files directly in it")
    return sorted(found, key=lambda p: natural_key(p.name))


class ImageFrames(Reader):
    """Picture files as frames, each read when it is asked for; sizes and dtypes must be those of the first good one.

    One that is damaged raises `TruncatedError` when it is read; in order, the frames before it are good.
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
        self.root, self._channel = root, channel
        image, self.calibration, self.notes = self._first_good()
        self.shape, self.dtype = (image.shape[0], image.shape[1]), image.dtype
        self._check_headers()

    def _first_good(self) -> tuple[Image, Calibration, tuple[str, ...]]:
        """The first picture that can be read; where none can, the error of the first."""
        wrong: InputError | None = None
        for path in self.paths:
            try:
                return _read_picture(path, self._channel)
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
        self._check_size(path, (image.shape[0], image.shape[1]))
        if image.dtype != self.dtype:
            raise InputError(
                f"all frames of a series must have one depth: {self.paths[0]} is {self.dtype}, {path} is {image.dtype}; "
                "convert one kind to the other"
            )
        return image

    def _check_size(self, path: Path, shape: tuple[int, int] | None) -> None:
        if shape is not None and shape != self.shape:
            raise InputError(
                f"all frames of a series must have one size: {self.paths[0]} is {self.shape[1]} x {self.shape[0]} px, "
                f"{path} is {shape[1]} x {shape[0]} px; put them in separate folders, or give the files one by one"
            )

    def _check_headers(self) -> None:
        """Refuse other sizes before the work begins, and doubt a scale that not all state; damage shows when a file is read."""
        odd: Path | None = None
        for path in self.paths[1:]:
            if path.suffix.lower() not in TIFF:
                header = flat_header(path) if path.is_file() else None
                self._check_size(path, None if header is None else header.shape)
                continue
            try:
                with TiffFrames(path, channel=self._channel) as file:
                    shape, calibration = file.shape, file.calibration
            except InputError:
                continue
            self._check_size(path, shape)
            odd = odd or (path if calibration != self.calibration else None)
        if odd is not None:
            self.calibration = Calibration()
            self.notes += (f"{self.paths[0].name} and {odd.name} state different scales or intervals; none is used",)


def _read_picture(path: Path, channel: int | str | None) -> tuple[Image, Calibration, tuple[str, ...]]:
    if path.suffix.lower() not in TIFF:
        image, notes = read_flat(path, channel)
        return image, Calibration(), notes
    with TiffFrames(path, channel=channel) as file:
        if len(file) > 1:
            raise InputError(f"{path} is a stack of {len(file)} pages; wanted one picture per file in a folder or list")
        return file[0], file.calibration, file.notes
