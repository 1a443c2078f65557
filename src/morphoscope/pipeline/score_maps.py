"""Defect maps on disk: a TIFF per input file, a float page per class (and frame of a stack), a px per patch."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import tifffile

from morphoscope.io.films import FilmFile
from morphoscope.io.tables import replacing
from morphoscope.models.score_map import ScoreMap
from morphoscope.pipeline.folder import MAPS
from morphoscope.pipeline.mask_files import mask_names

LARGE = 2**31  # bytes from which on a TIFF is a BigTIFF


class MapWriter:
    """Writes the maps of one file, frame by frame; the file exists whole or not at all.

    Each page says in its description, as JSON, what a reader needs: `class`, `frame`, `patch_px`, `stride_px`, and `x_px`,
    `y_px`, the centre of the first patch in the stored image.
    """

    def __init__(self, path: Path, *, frames: int) -> None:
        self._replacing, self._frames = replacing(path), frames
        self._file: tifffile.TiffWriter | None = None

    def __enter__(self) -> Self:
        self._part = self._replacing.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._file is not None:
            self._file.close()
        self._replacing.__exit__(kind, error, trace)

    def write(self, found: ScoreMap, frame: int) -> None:
        """Add the pages of a frame."""
        if self._file is None:
            large = found.values.nbytes * self._frames > LARGE
            self._file = tifffile.TiffWriter(self._part, bigtiff=large)
        place = {"patch_px": found.patch_px, "stride_px": found.stride_px, "x_px": found.x_px, "y_px": found.y_px}
        for name, values in zip(found.classes, found.values, strict=True):
            said = json.dumps({"class": name, "frame": frame, **place})
            page = np.asarray(values, np.float32)
            self._file.write(page, photometric="minisblack", compression="zlib", description=said, metadata=None)


def read_map(path: Path, frame: int = 0) -> ScoreMap:
    """The maps of a frame, as `MapWriter` wrote them.

    Raises:
        KeyError: there is no such frame.
    """
    with tifffile.TiffFile(path) as file:
        said = [json.loads(page.description) for page in file.pages]  # type: ignore[union-attr]
        there = [k for k, one in enumerate(said) if one["frame"] == frame]
        if not there:
            raise KeyError(f"{path} has no frame {frame}")
        values = np.stack([file.pages[k].asarray() for k in there])
    first = said[there[0]]
    names = tuple(str(said[k]["class"]) for k in there)
    return ScoreMap(values, first["x_px"], first["y_px"], first["stride_px"], first["patch_px"], names)


def map_part(output: Path, number: int) -> Path:
    """The maps of a file, while the run is under way."""
    return output / "parts" / f"map-{number:06d}.tif"


def join_maps(files: Sequence[FilmFile], output: Path) -> list[str]:
    """Put the maps of all files where they belong, if they are not there already; the files, relative to the run folder."""
    names, there = mask_names((file.name for file in files), MAPS), []
    for number, file in enumerate(files):
        part, path = map_part(output, number), output / names[file.name]
        if part.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            os.replace(part, path)
        if path.is_file():
            there.append(names[file.name])
    return there
