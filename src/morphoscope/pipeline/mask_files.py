"""Label images on disk: a part per frame while a run is under way, then one TIFF per input file under `masks/`."""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
import tifffile
from numpy.typing import NDArray

from morphoscope.io.frames import Frames
from morphoscope.io.tables import replacing
from morphoscope.recipe import Region

FOLDER = "masks"
LARGE = 2**32  # bytes, uncompressed, from which on a TIFF is a BigTIFF


def mask_names(files: Iterable[str], folder: str = FOLDER) -> dict[str, str]:
    """Where the label image (or, in another folder, the map) of each input file goes, relative to the run folder.

    It is the file's relative path with the suffix .tif; added to the name where that is another file's too, as where two files
    differ in the suffix only.
    """
    names = {file: PurePosixPath(file).with_suffix(".tif").as_posix() for file in files}
    long = {file: PurePosixPath(f"{file}.tif").as_posix() for file in names}
    while True:  # a longer name may be a third file's, which then is lengthened: all of them in the end, and those are unique
        count = Counter(names.values())
        shared = [file for file, name in names.items() if count[name] > 1 and name != long[file]]
        if not shared:
            return {file: f"{folder}/{name}" for file, name in names.items()}
        names.update({file: long[file] for file in shared})


def write_mask(path: Path, labels: NDArray[np.int32], region: Region, shape: tuple[int, int]) -> None:
    """Write the labels of a region as the label image of the frame of `shape`; it exists whole or not at all."""
    whole = np.zeros(shape, np.int32)
    whole[region.y0 : region.y1, region.x0 : region.x1] = labels
    with replacing(path) as part, tifffile.TiffWriter(part) as file:
        _page(file, whole)


def join_masks(folder: Path, parts: Path, frames: Frames, objects: pd.DataFrame) -> list[str]:
    """Write one label image per input file, of 16 bits where its labels allow, else 32; a page per frame of a stack.

    Pages are those of the input: frames before the last one that were not analysed have an empty page. One page at a time is
    held in memory.

    Args:
        folder: the run folder.
        parts: where `write_mask` wrote `mask_part` of each frame.
        frames: the input.
        objects: of the run, with `frame` and `mask_label`.

    Returns:
        The files, relative to the run folder.
    """
    there = {int(path.stem.removeprefix("mask-")): path for path in parts.glob("mask-*.tif")}
    owned: dict[str, list[int]] = {}
    for number in range(len(frames)):
        owned.setdefault(frames.name(number), []).append(number)
    owned = {file: numbers for file, numbers in owned.items() if any(number in there for number in numbers)}
    names = mask_names(owned)
    highest = objects.groupby("file")["mask_label"].max()
    for file, numbers in owned.items():
        pages = range(numbers[0], max(number for number in numbers if number in there) + 1)
        _remove_unfinished(folder / names[file])
        dtype = np.uint16 if highest.get(file, 0) <= np.iinfo(np.uint16).max else np.int32
        with replacing(folder / names[file]) as part:
            _write(part, (there.get(number) for number in pages), len(pages), dtype, frames.shape)
    return list(names.values())


def _write(path: Path, pages: Iterator[Path | None], count: int, dtype: type, shape: tuple[int, int]) -> None:
    large = count * shape[0] * shape[1] * np.dtype(dtype).itemsize > LARGE
    with tifffile.TiffWriter(path, bigtiff=large) as file:
        for page in pages:
            _page(file, np.zeros(shape, dtype) if page is None else tifffile.imread(page).astype(dtype))


def _page(file: Any, labels: NDArray[Any]) -> None:
    file.write(labels, photometric="minisblack", compression="zlib", compressionargs={"level": 1}, metadata=None)


def mask_part(parts: Path, number: int) -> Path:
    """The part of a frame."""
    return parts / f"mask-{number:06d}.tif"


def remove_masks(folder: Path, files: Sequence[str], kind: str = FOLDER) -> None:
    """Remove the label images (or those of another kind) of these input files from a run folder, and folders left empty."""
    for name in mask_names(files, kind).values():
        path = folder / name
        path.unlink(missing_ok=True)
        _remove_unfinished(path)
        for parent in path.relative_to(folder).parents:
            if parent.name and (folder / parent).is_dir() and not any((folder / parent).iterdir()):
                (folder / parent).rmdir()


def _remove_unfinished(path: Path) -> None:
    """Remove what a kill left of this file."""
    for part in path.parent.glob(f".{glob.escape(path.name)}.????????.part"):
        part.unlink()
