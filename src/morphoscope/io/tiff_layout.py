"""Which pages of a TIFF are the frames: its series, their axes, the part and channel asked for."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from morphoscope.errors import InputError
from morphoscope.io.parts import Part, choose_part
from morphoscope.io.tiff_decode import claimed_bytes
from morphoscope.io.tiff_directory import (
    BITS,
    COMPRESSION,
    HEIGHT,
    PLANAR,
    SAMPLE_FORMAT,
    SAMPLES,
    WIDTH,
    Chain,
    Directory,
)
from morphoscope.io.tiff_grey import channel_number

MOST_CHANNELS = 4  # more pages under this name are frames
MOST_PLANES = 5_000_000  # of an OME header; tifffile keeps a list of them
DESCRIPTION = 270
SPECIAL = ("is_ome", "is_lsm", "is_stk", "is_fluoview")


@dataclass(frozen=True)
class Layout:
    """Where the frames of a file are.

    `first` is the directory that tells how all are stored, `numbers` the pages that are frames, `page` the directory of a page
    (None where it is missing). With `offset` all pages lie one after the other from that byte on. `unread` says that the chain of
    directories broke off after the last page. `axes` are those longer than one (at most one besides the channel), `picked` is the
    channel chosen among those that are pages, `channel` the one to choose inside a page, `series` the number of an OME image.
    """

    first: Directory
    numbers: range
    page: Callable[[int], Directory | None]
    offset: int | None = None
    unread: bool = False
    series: int = 0
    channel: int | str | None = None
    picked: int = 0
    axes: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def stored_type(page: Directory) -> np.dtype[Any]:
    """The dtype of a page's values by its tags."""
    bits, kind = page.number(BITS, 1), page.number(SAMPLE_FORMAT, 1)
    if kind in (5, 6):
        return np.dtype(np.complex128 if bits > 64 else np.complex64)
    if kind == 3:
        return np.dtype(np.float16 if bits <= 16 else np.float32 if bits <= 32 else np.float64)
    if bits == 1:
        return np.dtype(bool)
    size = next((size for size in (1, 2, 4, 8) if bits <= 8 * size), 8)
    return np.dtype(f"{'i' if kind == 2 else 'u'}{size}")


def find_layout(tiff: tifffile.TiffFile, chain: Chain, path: Path, part: str | int | None, channel: int | str | None) -> Layout:
    """The frames of a TIFF file.

    Raises:
        InputError: several images and no `part`, several axes, channels and no `channel`, or no image.
        UsageError: no such part or channel.
    """
    first = chain.read(chain.first)
    top = tiff.pages.first
    if any(getattr(top, name) for name in SPECIAL) and (found := _from_series(tiff, chain, path, part)) is not None:
        return _frames(found, path, channel)
    axes = _imagej_axes(first.text(DESCRIPTION)) or _shaped_axes(first)
    count = math.prod(axes.values())
    if part in (None, 0, "0") and count > 1 and (start := _contiguous(chain, first)) is not None:
        return _frames(Layout(first, range(count), lambda _: first, offset=start, axes=axes), path, channel)
    found = _from_chain(chain, path, part)
    if count == len(found.numbers):
        found = replace(found, axes=axes)
    return _frames(found, path, channel)


def _from_chain(chain: Chain, path: Path, part: str | int | None) -> Layout:
    """Series of plain pages: those of one size and type belong together."""
    groups, broken = chain.groups()
    if broken and part is None:
        groups = groups[:1]
    parts = [Part(_size(page), _shape(page, len(offsets)), str(stored_type(page))) for page, offsets in groups]
    chosen = next(k for k, one in enumerate(parts) if one is choose_part(parts, part, str(path)))
    first, offsets = groups[chosen]
    return Layout(
        first,
        range(len(offsets) + broken),
        lambda k: chain.read(offsets[k]) if k < len(offsets) else None,
        unread=broken,
        axes={"I": len(offsets) + broken},
    )


def _size(page: Directory) -> str:
    return f"{page.number(WIDTH, 0)} x {page.number(HEIGHT, 0)} px"


def _shape(page: Directory, count: int) -> tuple[int, ...]:
    return (*((count,) if count > 1 else ()), page.number(HEIGHT, 0), page.number(WIDTH, 0))


def _from_series(tiff: tifffile.TiffFile, chain: Chain, path: Path, part: str | int | None) -> Layout | None:
    """Series as tifffile finds them by an OME or maker's header; None where that header does not fit the file."""
    sizes = re.findall(r"<(?:\w+:)?Pixels\b[^>]*>", tiff.pages.first.description or "")
    for pixels in sizes:
        claim = math.prod(int(n) for n in re.findall(r'\bSize[ZCT]="(\d{1,18})"', pixels))
        if claim > MOST_PLANES:
            raise InputError(f"{path} claims {claim:,} planes in its OME header, which cannot be; the header is damaged")
    try:
        every = [(k, one) for k, one in enumerate(tiff.series) if not one.keyframe.is_reduced]
    except (tifffile.TiffFileError, OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, RuntimeError):
        return None
    parts = [Part(one.name or f"series {k}", tuple(map(int, one.shape)), str(one.dtype), (k, one)) for k, one in every]
    number, series = choose_part(parts, part, str(path)).what
    axes = {axis: int(n) for axis, n in zip(series.axes, series.shape, strict=True) if axis not in "YXS"}
    first = chain.read(series.keyframe.offset) if series.keyframe.parent is tiff else _elsewhere(series.keyframe)

    def page(k: int) -> Directory | None:
        found = series.pages[k] if k < len(series.pages) else None
        if found is None:
            return None
        return chain.read(found.offset) if found.parent is tiff else _elsewhere(found)

    offset = series.dataoffset if len(series.pages) > math.prod(axes.values()) or len(series.pages) == 1 else None
    return Layout(first, range(math.prod(axes.values())), page, offset=offset, series=number, axes=axes)


def _elsewhere(page: Any) -> Directory:
    """Pages in another file of a set are refused."""
    name = Path(page.parent.filehandle.path).name
    raise InputError(f"the OME header names pages in another file, {name}; give the files as a list or folder")


def _imagej_axes(text: str) -> dict[str, int]:
    """Axes of an ImageJ header, slowest first; empty where there is none."""
    if not text.startswith("ImageJ="):
        return {}
    stated = {key: int(n) for key, n in re.findall(r"^(images|channels|slices|frames)=(\d{1,12})\s*$", text, re.MULTILINE)}
    axes = {"T": stated.get("frames", 1), "Z": stated.get("slices", 1), "C": stated.get("channels", 1)}
    if (images := stated.get("images", 1)) != math.prod(axes.values()):
        return {"I": images} if images > 1 else {}
    return axes


def _shaped_axes(page: Directory) -> dict[str, int]:
    """Axes besides those of a page in tifffile's own header; empty where there is none or it does not fit."""
    text = page.text(DESCRIPTION)
    try:
        found = json.loads(text) if text.startswith('{"shape":') else {}
        shape = [int(n) for n in found.get("shape", [])]
        names = str(found.get("axes", ""))
    except (ValueError, TypeError, AttributeError, RecursionError):
        return {}
    samples = page.number(SAMPLES, 1)
    size = [page.number(HEIGHT, 0), page.number(WIDTH, 0)]
    size = size if samples == 1 else [samples, *size] if page.number(PLANAR, 1) == 2 else [*size, samples]
    leading = shape[: -len(size)]
    if shape[-len(size) :] != size or any(n < 1 for n in leading):
        return {}
    names = names if len(names) == len(shape) and len(set(names)) == len(names) else ""
    return {names[k] if names else f"axis {k}": n for k, n in enumerate(leading)}


def _contiguous(chain: Chain, first: Directory) -> int | None:
    """The byte where all pages begin, where they lie one after the other; None where they do not."""
    offsets, counts = (values.astype(np.int64) for values in first.segments)
    bits = first.number(BITS, 1)
    plain = first.number(COMPRESSION, 1) == 1 and 322 not in first.tags and bits % 8 == 0 and bits != 24
    if not plain or not len(offsets) or len(offsets) != len(counts) or first.number(266, 1) != 1:
        return None
    if (offsets[:-1] + counts[:-1] != offsets[1:]).any() or counts.sum() < claimed_bytes(first):
        return None
    try:
        pages = chain.walk()
        next(pages)
        second = next(pages, None)
    except ValueError:
        second = None
    start = int(offsets[0])
    if second is not None:
        following = second.segments[0]
        if second.signature != first.signature or not len(following) or following[0] != start + claimed_bytes(first):
            return None
    return start


def _frames(layout: Layout, path: Path, channel: int | str | None) -> Layout:
    """The pages along the one long axis, of the channel asked for."""
    axes = {axis: n for axis, n in layout.axes.items() if n > 1}
    count, strides = 1, {}
    for axis in reversed(layout.axes):
        strides[axis] = count
        count *= layout.axes[axis]
    start, picked, chosen = 0, 0, channel
    channels = axes.get("C", 1)
    if channels > 1 and (channel is not None or channels <= MOST_CHANNELS):
        if channel is None:
            raise InputError(
                f"{path} holds {channels} channels as separate pages; say which one with `channel` (0 to {channels - 1}), or, if "
                "they are frames, give the file a time axis"
            )
        picked = channel_number(channel, tuple(str(k) for k in range(channels)), str(path))
        start = strides["C"] * picked
        chosen = None
        del axes["C"]
    if len(axes) > 1:
        found = ", ".join(f"{axis}: {n}" for axis, n in axes.items())
        raise InputError(
            f"{path} has several axes besides y and x ({found}); wanted one, such as time: split the file along the others"
        )
    long = next(iter(axes), "")
    step, length = (strides[long], axes[long]) if long else (1, 1)
    numbers = range(start, start + length * step, step)
    return replace(layout, numbers=numbers, channel=chosen, picked=picked, axes=axes)
