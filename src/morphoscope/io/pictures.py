"""One picture file (PNG, JPEG, BMP) as grey values, and what all readers of grey values share."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray

from morphoscope.errors import InputError, UsageError
from morphoscope.io.frames import Image
from morphoscope.io.palettes import palette_note

TIFF = (".tif", ".tiff")
FLAT = (".png", ".jpg", ".jpeg", ".bmp")
COLOUR = "colour is turned to grey (luma)"
NAMES = ("red", "green", "blue", "alpha")
MOST_TIMES, SMALL_CLAIM = 2000, 64 << 20
AT_ONCE = 1 << 17


@dataclass(frozen=True)
class FlatHeader:
    """What the header of a flat picture says: size in px, bits per sample, samples per pixel, its colour table (n, 3)."""

    shape: tuple[int, int]
    bits: int
    samples: int
    table: NDArray[np.uint8] | None = None

    @property
    def dtype(self) -> np.dtype[Any]:
        """What its values come in."""
        return np.dtype(np.uint16 if self.bits > 8 else np.uint8)


def read_flat(path: Path, channel: int | str | None = None) -> tuple[Image, tuple[str, ...]]:
    """Grey values (height, width) of a PNG, JPEG or BMP file, 16-bit as stored, and notes on what was done to them.

    Args:
        path: the file.
        channel: a number from 0, or red, green, blue, alpha, instead of the luma.

    Raises:
        InputError: the file is missing, not a picture, cut off, or claims more than 2000 times its bytes (from 64 MiB on).
        UsageError: it has no such channel.
    """
    stored, header = read_stored(path)
    return _grey(stored, header.table if header is not None else None, channel, str(path))


def read_stored(path: Path) -> tuple[Image, FlatHeader | None]:
    """The values of a PNG, JPEG or BMP file as OpenCV gives them (blue first), and its header; errors as in `read_flat`."""
    try:
        header = flat_header(path)
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    if header is not None:
        claim = header.shape[0] * header.shape[1] * header.samples * max(header.bits, 8) // 8
        if claim > max(SMALL_CLAIM, MOST_TIMES * len(raw)):
            raise InputError(
                f"{path} claims {header.shape[1]} x {header.shape[0]} px in {len(raw):,} bytes, which cannot be: its header is "
                "damaged; copy or export it again"
            )
    stored = _decoded(raw)
    if stored is None:
        raise InputError(f"{path} is not a readable picture: it is damaged, cut off or of another kind; copy or export it again")
    return stored, header


def _decoded(raw: bytes) -> Image | None:
    ending = {b"\x89PNG": b"IEND", b"\xff\xd8\xff": b"\xff\xd9"}
    marker = next((end for start, end in ending.items() if raw.startswith(start)), b"")
    if not raw or marker not in raw[len(raw) // 2 :]:
        return None
    try:
        return cv2.imdecode(np.frombuffer(raw, np.uint8), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    except (cv2.error, MemoryError):  # more pixels than OpenCV takes, or damaged
        return None


def _grey(stored: Image, table: NDArray[np.uint8] | None, channel: int | str | None, where: str) -> tuple[Image, tuple[str, ...]]:
    samples = 1 if stored.ndim == 2 else stored.shape[2]
    if channel is not None:
        text = str(channel).strip().lower()
        names = NAMES[:samples] if samples > 1 else ("grey",)
        number = names.index(text) if text in names else int(text) if text.isdecimal() else -1
        if not 0 <= number < samples:
            said = f"channels {', '.join(names)}" if samples > 1 else "grey values alone"
            raise UsageError(f"{where} has {said}, not channel {channel!r}")
        one = stored if samples == 1 else stored[..., number if number > 2 else (2, 1, 0)[number]]
        return stored_dtype(one, where), ()
    if samples == 1:
        return stored_dtype(stored, where), ()
    grey, colour = to_grey(stored[..., [2, 1, 0]] if samples == 3 else stored[..., 2::-1], where)
    notes = [] if not colour else [COLOUR] if table is None else [palette_note(table)]
    if samples == 4:
        notes.append("the opacity channel is ignored")
    return grey, tuple(notes)


def flat_header(path: Path) -> FlatHeader | None:
    """The header of a PNG, JPEG or BMP file; None where it is none of these."""
    with open(path, "rb") as file:
        start = file.read(54)
        if start.startswith(b"\x89PNG") and len(start) >= 26:
            width, height, bits, colour = struct.unpack(">IIBB", start[16:26])
            table = _png_table(file) if colour == 3 else None
            return FlatHeader((height, width), bits, {0: 1, 3: 3, 4: 2}.get(colour, 3 + (colour == 6)), table)
        if start.startswith(b"BM") and len(start) >= 30:
            width, height = struct.unpack("<ii", start[18:26])
            return FlatHeader((abs(height), abs(width)), 8, 4 if start[28] == 32 else 3, _bmp_table(file, start))
        return _jpeg_header(file) if start.startswith(b"\xff\xd8") else None


def flat_size(path: Path) -> tuple[int, int] | None:
    """(height, width) of a PNG, JPEG or BMP file from its header alone; None where the header is none of these."""
    header = flat_header(path)
    return None if header is None else header.shape


def _png_table(file: BinaryIO) -> NDArray[np.uint8] | None:
    position = 8
    while True:
        file.seek(position)
        head = file.read(8)
        if len(head) < 8 or head[4:] in (b"IDAT", b"IEND"):
            return None
        length = int.from_bytes(head[:4], "big")
        if head[4:] == b"PLTE":
            table = file.read(min(length, 768))
            return np.frombuffer(table[: len(table) // 3 * 3], np.uint8).reshape(-1, 3)
        position += 12 + length


def _bmp_table(file: BinaryIO, start: bytes) -> NDArray[np.uint8] | None:
    (size,), (bits,) = struct.unpack("<I", start[14:18]), struct.unpack("<H", start[28:30])
    if bits > 8 or size < 40 or len(start) < 54:
        return None
    (used,) = struct.unpack("<I", start[46:50])
    file.seek(14 + size)
    table = file.read(4 * min(used or 256, 1 << bits))
    return np.frombuffer(table[: len(table) // 4 * 4], np.uint8).reshape(-1, 4)[:, 2::-1]


def _jpeg_header(file: BinaryIO) -> FlatHeader | None:
    position = 2
    while True:
        file.seek(position)
        head = file.read(10)
        if len(head) < 9 or head[0] != 0xFF:
            return None
        if 0xC0 <= head[1] <= 0xCF and head[1] not in (0xC4, 0xC8, 0xCC):  # the start of a frame, of whatever coding
            height, width = struct.unpack(">HH", head[5:9])
            return FlatHeader((height, width), head[4], head[9] if len(head) > 9 else 1)
        length = 0 if head[1] == 0xFF else struct.unpack(">H", head[2:4])[0] + 1  # 0xFF: a fill byte
        position += 1 + length


def luma(planes: Any) -> Image:
    """Grey of red, green and blue planes (3, height, width) in their dtype; the plane itself where all are alike."""
    red, green, blue = planes
    if np.array_equal(red, green) and np.array_equal(red, blue):
        return np.asarray(red)
    grey = np.empty(red.shape, red.dtype)
    rows = max(1, AT_ONCE // max(red.shape[1], 1))
    for y in range(0, len(red), rows):  # in pieces: the mean is in floats of eight times the size
        r, g, b = (plane[y : y + rows].astype(np.float64) for plane in (red, green, blue))
        mixed = 0.299 * r + 0.587 * g + 0.114 * b
        grey[y : y + rows] = np.rint(mixed) if red.dtype.kind in "ui" else mixed
    return grey


def to_grey(image: Image, what: str) -> tuple[Image, bool]:
    """(height, width) of a grey, grey + alpha, RGB or RGBA array of the same dtype, and whether its channels differed.

    Booleans become 0 and 255, other integers and floats float32; uint8, uint16 and float32 stay as they are.

    Raises:
        InputError: more channels than four, or complex numbers.
    """
    channels = 1 if image.ndim == 2 else image.shape[-1]
    if image.ndim not in (2, 3) or not 1 <= channels <= 4:
        raise InputError(f"{what}: wanted a grey or RGB picture, got an array of shape {image.shape}")
    colour = False
    if image.ndim == 3:
        red, green, blue = (image[..., k] for k in ((0, 1, 2) if channels >= 3 else (0, 0, 0)))
        colour = not (np.array_equal(red, green) and np.array_equal(red, blue))
        image = luma((red, green, blue)) if colour else red
    return stored_dtype(image, what), colour


def stored_dtype(image: Image, what: str) -> Image:
    """`image` as uint8, uint16 or float32, whichever holds its dtype's values."""
    kind: np.dtype[Any] = grey_dtype(image.dtype, what)
    if image.dtype == bool:
        return image.astype(np.uint8) * np.uint8(255)
    return np.ascontiguousarray(image, dtype=kind)


def grey_dtype(stored: np.dtype[Any], what: str) -> np.dtype[Any]:
    """The dtype frames of a stored dtype come in.

    Raises:
        InputError: complex numbers.
    """
    if stored.kind not in "buif":
        raise InputError(f"{what}: wanted 8-bit, 16-bit or float grey values, got {stored}")
    if stored.kind == "b" or stored.newbyteorder("=") == np.uint8:
        return np.dtype(np.uint8)
    return np.dtype(np.uint16) if stored.newbyteorder("=") == np.uint16 else np.dtype(np.float32)
