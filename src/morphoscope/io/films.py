"""Pictures of films in any format, one at a time and in colour: photographs, 16-bit images, microscopes' files, stacks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from morphoscope.calibration import Calibration
from morphoscope.errors import InputError
from morphoscope.io import em
from morphoscope.io.colour import read_colour
from morphoscope.io.frames import Frames, Image
from morphoscope.io.images import natural_key
from morphoscope.io.open import family_of, open_frames
from morphoscope.io.pictures import flat_header, read_flat
from morphoscope.io.sem import agree
from morphoscope.io.sem_sidecars import Sidecars
from morphoscope.io.tiff import TiffFrames

NO_PICTURES = ("text", "nanoscope")  # families that a folder is not searched for: their names are those of any text
IMAGES = "image"  # folder of pictures where masks lie beside it


@dataclass(frozen=True)
class FilmFile:
    """A file and what it is called: its path relative to the input folder, with forward slashes."""

    path: Path
    name: str


def list_films(sources: Sequence[Path], *, deep: bool = False) -> list[FilmFile]:
    """The files of inputs, each once: files as they are given, those of a folder in natural order.

    Of a folder those directly in it are taken; where there are none, those in its `image/`, else those of all its folders that
    hold no run; `deep` takes all of them in any case. Names are relative to the folder, of several inputs to the folder that
    holds them all.

    Raises:
        InputError: a path that is not there, or a folder without pictures.
    """
    found: list[Path] = []
    for source in sources:
        if not source.exists():
            raise InputError(f"there is no file or folder {source}; check the path")
        found += _in_folder(source, deep=deep) if source.is_dir() else [source]
    files = list(dict.fromkeys(Path(os.path.abspath(path)) for path in found))
    if len(sources) == 1 and sources[0].is_dir():
        root = Path(os.path.abspath(sources[0]))
    else:
        root = Path(os.path.commonpath([path.parent for path in files]))
    return [FilmFile(path, path.relative_to(root).as_posix()) for path in files]


def _in_folder(folder: Path, *, deep: bool) -> list[Path]:
    direct = [] if deep else _pictures(folder)
    if direct:
        return direct
    if not deep and (folder / IMAGES).is_dir() and _pictures(folder / IMAGES):
        return _pictures(folder / IMAGES)
    below: list[Path] = []
    for name, folders, files in os.walk(folder):
        folders[:] = sorted((f for f in folders if not f.startswith(".")), key=natural_key)
        if "run.json" in files:
            folders.clear()
        else:
            below += _pictures(Path(name))
    if not below:
        raise InputError(f"no pictures in the folder {folder} or in folders in it")
    return below


def _pictures(folder: Path) -> list[Path]:
    there = [path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")]
    return sorted((path for path in there if _is_picture(path)), key=lambda path: natural_key(path.name))


def _is_picture(path: Path) -> bool:
    family = family_of(path)
    return path.suffix.lower() in em.SUFFIXES if family is None else family not in NO_PICTURES


@dataclass
class Film:
    """An opened file: `count` images, each read when it is asked for, and what the file states about them.

    Args:
        path: the file.
        part: which image or dataset, of a file with several.
        channel: one colour or channel, as grey, instead of all colours.
        sidecars: text files found beside pictures so far.

    Raises:
        InputError: it cannot be read.
        UsageError: it has no such part or channel.
    """

    path: Path
    part: int | str | None = None
    channel: int | str | None = None
    sidecars: Sidecars = field(default_factory=Sidecars)

    def __post_init__(self) -> None:
        self.calibration, self.metadata, self.count = Calibration(), dict[str, Any](), 1
        self._frames: Frames | None = None
        if family_of(self.path) == "flat" and self.path.is_file():
            header = flat_header(self.path)
            if header is not None:
                agreed = agree(Calibration(), self.sidecars.read(self.path), header.shape)
                self.calibration, self.metadata = agreed.calibration, agreed.metadata
            return
        self._frames = open_frames(self.path, part=self.part, channel=self.channel)
        self.count, self.calibration = len(self._frames), self._frames.calibration
        self.metadata = dict(self._frames.metadata)

    @property
    def times_s(self) -> list[float] | None:
        """When each image was taken, in s, as the file states it; None where it does not, or holds one image."""
        data = None if self._frames is None else self._frames.frame_data
        if self.count == 1 or data is None or "time_s" not in data:
            return None
        return [float(time) for time in data["time_s"]]

    def image(self, number: int) -> Image:
        """An image (h, w), or (h, w, 3) in the order red, green, blue, as stored.

        Raises:
            InputError: it is damaged, or not all values are finite.
        """
        image = self._read(number)
        if image.dtype.kind == "f" and not np.isfinite(image).all():
            raise InputError(f"{self.path} holds values that are not finite numbers")
        return image

    def _read(self, number: int) -> Image:
        if self._frames is None:
            return read_colour(self.path) if self.channel is None else read_flat(self.path, self.channel)[0]
        if isinstance(self._frames, TiffFrames) and self.channel is None:
            image = self._frames.colours(number)
            alike = image.ndim == 3 and all(np.array_equal(image[..., 0], image[..., k]) for k in (1, 2))
            return np.ascontiguousarray(image[..., 0]) if alike else image
        return self._frames[number]

    def close(self) -> None:
        """Free file handles."""
        if self._frames is not None:
            self._frames.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
