"""Open HDF5 files (plain, NeXus, EMD, HyperSpy): which dataset is the image."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

from morphoscope.errors import InputError
from morphoscope.io.hdf5_axes import Layout, stated_axes, text
from morphoscope.io.hdf5_frames import CACHE_BYTES, DAMAGE, Hdf5Frames
from morphoscope.io.parts import Part, choose_part
from morphoscope.io.velox import is_velox, open_velox

SUFFIXES = (".h5", ".hdf5", ".hdf", ".nxs", ".emd", ".hspy")
MOST_DATASETS = 10_000
SMALL_SIDE = 16


def open_hdf5(path: str | Path, *, part: str | int | None = None, channel: int | str | None = None) -> Hdf5Frames:
    """The dataset `part` (its path in the file, or number) of an HDF5 file; the only one, or NeXus's default, without.

    Raises:
        InputError: no such file, damaged, no image in it, or several and no `part`.
    """
    path = Path(path)
    with _opened(path) as file:
        if is_velox(file):
            return open_velox(file, part=part, channel=channel)
        parts = list_images(file, part)
        if part is None and (default := _nexus_default(file)) in [one.name for one in parts]:
            part = default
        chosen = choose_part(parts, part, str(path))
        dataset = file[chosen.name]
        frames = Hdf5Frames(file, dataset, chosen.what, channel=channel)
        stated, source = stated_axes(dataset, chosen.what)
        return frames.state(stated, source)


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    """The file, left open unless something fails; what h5py raises becomes an InputError."""
    try:
        file = h5py.File(path, "r", rdcc_nbytes=CACHE_BYTES, rdcc_nslots=10_007, locking="best-effort")
    except DAMAGE as error:
        short = "truncated" in str(error)
        said = "is cut off: copy it again from its source" if short else "cannot be read as HDF5"
        raise InputError(f"{path} {said} ({error})") from error
    try:
        yield file
    except DAMAGE as error:
        file.close()
        raise InputError(f"{path} is damaged and cannot be read as HDF5: {error}") from error
    except BaseException:
        file.close()
        raise


def list_images(file: h5py.File, part: str | int | None = None) -> list[Part]:
    """Datasets that are images or stacks; those with a side under 16 px only where there is no other, or where named by `part`.

    In EMD files the datasets that the file marks as data, where there are any.
    """
    found: list[Part] = []
    marked: list[Part] = []

    def look(name: str, item: Any) -> bool | None:
        if isinstance(item, h5py.Dataset) and item.shape and (layout := Layout.of(item)) is not None:
            one = Part(name, item.shape, str(item.dtype), layout)
            found.append(one)
            if item.parent.attrs.get("emd_group_type") is not None:
                marked.append(one)
        return True if len(found) > MOST_DATASETS else None

    file.visititems(look)
    if isinstance(part, str) and any(one.name == part.strip("/") for one in found):
        return found
    found = marked or found
    large = [one for one in found if min(one.shape[one.what.y], one.shape[one.what.x]) >= SMALL_SIDE]
    return large or found


def _nexus_default(file: h5py.File) -> str | None:
    """The path of the dataset that a NeXus file gives as its default plot."""
    group: Any = file
    for _ in range(8):
        if signal := text(group.attrs.get("signal")):
            return f"{group.name}/{signal}".strip("/")
        below = text(group.attrs.get("default"))
        if not below or below not in group or not isinstance(group[below], h5py.Group):
            return None
        group = group[below]
    return None
