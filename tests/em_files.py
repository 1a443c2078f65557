"""Minimal files of electron microscopes, written by the public descriptions of their formats."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

DM_CODES = {"i2": 1, "f4": 2, "c8": 3, "u1": 6, "i4": 7, "i1": 9, "u2": 10, "u4": 11, "f8": 12}
DM_ELEMENTS = {"i2": 2, "i4": 3, "u2": 4, "u4": 5, "f4": 6, "f8": 7, "i1": 9, "u1": 10, "c8": 6}


class DmWriter:
    """Tag trees: dicts are groups; int, float, str, bytes-like arrays and tuples of floats (structs) are values."""

    def __init__(self, version: int, order: str) -> None:
        self.long, self.version, self.order = (">i" if version == 3 else ">q"), version, order

    def file(self, tree: Mapping[str, Any]) -> bytes:
        body = self.group(tree, sized=False)
        little = struct.pack(">i", self.order == "<")
        return struct.pack(">i", self.version) + struct.pack(self.long, len(body)) + little + body + bytes(8)

    def group(self, tree: Mapping[str, Any], *, sized: bool = True) -> bytes:
        entries = b"".join(self.entry(name, value) for name, value in tree.items())
        size = struct.pack(">q", len(entries)) if sized and self.version == 4 else b""
        return b"\0\0" + size + struct.pack(self.long, len(tree)) + entries

    def entry(self, name: str, value: Any) -> bytes:
        shown = b"" if name.isdecimal() else name.encode("latin-1")
        kind, body = (20, self.group(value)) if isinstance(value, Mapping) else (21, self.value(value))
        return struct.pack(">bH", kind, len(shown)) + shown + body

    def value(self, value: Any) -> bytes:
        if isinstance(value, str):
            words, raw = [20, 4, len(value)], value.encode("utf-16-le" if self.order == "<" else "utf-16-be")
        elif isinstance(value, bool):
            words, raw = [8], struct.pack("B", value)
        elif isinstance(value, int):
            words, raw = [5], struct.pack(f"{self.order}I", value)
        elif isinstance(value, float):
            words, raw = [7], struct.pack(f"{self.order}d", value)
        elif isinstance(value, tuple):
            words, raw = [15, 0, len(value), *([0, 6] * len(value))], struct.pack(f"{self.order}{len(value)}f", *value)
        else:
            code = DM_ELEMENTS[value.dtype.str[1:]]
            words, raw = [20, code, value.size], value.astype(value.dtype.newbyteorder(self.order)).tobytes()
        body = b"%%%%" + b"".join(struct.pack(self.long, word) for word in (len(words), *words)) + raw
        return (struct.pack(">q", len(body)) if self.version == 4 else b"") + body


def dm_image(
    data: np.ndarray,
    axes: Sequence[tuple[float, str]] = (),
    *,
    name: str = "",
    tags: Mapping[str, Any] | None = None,
    code: int | None = None,
) -> dict[str, Any]:
    """An entry of ImageList; `axes` are (scale, units) along x, y, frames."""
    dimensions = {str(k): size for k, size in enumerate(reversed(data.shape))}
    scales = {str(k): {"Origin": 0.0, "Scale": float(scale), "Units": unit} for k, (scale, unit) in enumerate(axes)}
    calibrations = {"Brightness": {"Origin": 0.0, "Scale": 1.0, "Units": ""}, "Dimension": scales}
    content = {
        "Calibrations": calibrations,
        "Data": data.ravel(),
        "DataType": DM_CODES[data.dtype.str[1:]] if code is None else code,
        "Dimensions": dimensions,
        "PixelDepth": data.itemsize,
    }
    return {"ImageData": content, "ImageTags": dict(tags or {}), "Name": name}


def write_dm(path: Path, *images: Mapping[str, Any], version: int = 4, order: str = "<", thumbnails: Sequence[int] = ()) -> Path:
    tree: dict[str, Any] = {
        "DocumentObjectList": {"0": {"Rectangle": (1.0, 2.0, 3.0, 4.0)}},
        "ImageList": {str(k): image for k, image in enumerate(images)},
        "Thumbnails": {str(k): {"ImageIndex": index} for k, index in enumerate(thumbnails)},
    }
    path.write_bytes(DmWriter(version, order).file(tree))
    return path


def write_ser(
    path: Path,
    frames: np.ndarray,
    *,
    delta: tuple[float, float] = (2e-10, 3e-10),
    version: int = 0x0220,
    times: Sequence[int] | None = None,
    positions: Sequence[tuple[float, float]] | None = None,
    stated: int | None = None,
    kind: int = 0x4122,
) -> Path:
    """A SER series of images (n, height, width), first row at the bottom; `delta` is m per px along x and y."""
    codes = {"u1": 1, "u2": 2, "u4": 3, "i1": 4, "i2": 5, "i4": 6, "f4": 7, "f8": 8}
    wide = "Q" if version >= 0x0220 else "I"
    n, height, width = frames.shape
    tag = 0x4142 if positions is not None else 0x4152
    unit = b"Number"
    dimension = struct.pack("<IddI", n, 0.0, 1.0, 0) + struct.pack("<I", 6) + unit + struct.pack("<I", 0)
    begin = 0x1E if wide == "I" else 0x22
    arrays = begin + len(dimension)
    start = arrays + 2 * n * struct.calcsize(wide)
    elements, offsets, places = b"", list[int](), list[int]()
    for frame in frames:
        offsets.append(start + len(elements))
        elements += struct.pack("<ddIddIHII", 0.0, delta[0], 0, 0.0, delta[1], 0, codes[frames.dtype.str[1:]], width, height)
        elements += frame[::-1].astype(frames.dtype.newbyteorder("<")).tobytes()
        k = len(places)
        places.append(start + len(elements))
        elements += struct.pack("<HHI", tag, 0, times[k] if times else 0)
        elements += struct.pack("<dd", *positions[k]) if positions is not None else b""
    head = struct.pack("<HHHIIII", 0x4949, 0x0197, version, kind, tag, stated or n, n)
    head += struct.pack(f"<{wide}I", arrays, 1) + dimension
    path.write_bytes(head + struct.pack(f"<{n}{wide}", *offsets) + struct.pack(f"<{n}{wide}", *places) + elements)
    return path
