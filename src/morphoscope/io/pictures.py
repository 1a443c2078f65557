"""One picture file as grey values: what TIFF pages and image folders share."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np

from morphoscope.errors import InputError
from morphoscope.io.frames import Image

TIFF = (".tif", ".tiff")
FLAT = (".png", ".jpg", ".jpeg", ".bmp")
COLOUR = "colour is turned to grey (luma)"


def read_flat(path: Path) -> tuple[Image, bool]:
    """Grey values (height, width) of a PNG, JPEG or BMP file, 16-bit as stored, and whether it was in colour.

    Raises:
        InputError: the file is missing, not a picture, or cut off.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    ending = {b"\x89PNG": b"IEND", b"\xff\xd8\xff": b"\xff\xd9"}
    marker = next((end for start, end in ending.items() if raw.startswith(start)), b"")
    stored = None
    if marker in raw[len(raw) // 2 :]:
        flags = cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION
        stored = cv2.imdecode(np.frombuffer(raw, np.uint8), flags) if raw else None
    if stored is None:
        raise InputError(f"{path} is not a readable picture: it is damaged, cut off or of another kind; copy or export it again")
    grey, colour = to_grey(stored if stored.ndim == 2 else stored[..., [2, 1, 0, *range(3, stored.shape[2])]], str(path))
    return grey, colour


def flat_size(path: Path) -> tuple[int, int] | None:
    """(height, width) of a PNG, JPEG or BMP file from its header alone; None where the header is none of these."""
    with open(path, "rb") as file:
        start = file.read(26)
        if start.startswith(b"\x89PNG") and len(start) == 26:
            width, height = struct.unpack(">II", start[16:24])
            return height, width
        if start.startswith(b"BM") and len(start) == 26:
            width, height = struct.unpack("<ii", start[18:26])
            return abs(height), width
        return _jpeg_size(file) if start.startswith(b"\xff\xd8") else None


def _jpeg_size(file: BinaryIO) -> tuple[int, int] | None:
    position = 2
    while True:
        file.seek(position)
        head = file.read(9)
        if len(head) < 9 or head[0] != 0xFF:
            return None
        if 0xC0 <= head[1] <= 0xCF and head[1] not in (0xC4, 0xC8, 0xCC):  # the start of a frame, of whatever coding
            height, width = struct.unpack(">HH", head[5:9])
            return height, width
        length = 0 if head[1] == 0xFF else struct.unpack(">H", head[2:4])[0] + 1  # 0xFF: a fill byte
        position += 1 + length


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
        if colour:
            mixed = 0.299 * red.astype(np.float64) + 0.587 * green + 0.114 * blue
            image = (np.rint(mixed) if image.dtype.kind in "ui" else mixed).astype(image.dtype)
        else:
            image = red
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
