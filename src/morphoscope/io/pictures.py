"""One picture file as grey values."""

from __future__ import annotations

from pathlib import Path

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


def to_grey(image: Image, what: str) -> tuple[Image, bool]:
    """(height, width) of a grey, grey + alpha, RGB or RGBA array in its own dtype, and whether it was in colour.

    Raises:
        InputError: the array has another shape, or is neither 8- nor 16-bit nor float.
    """
    channels = 1 if image.ndim == 2 else image.shape[-1]
    if image.ndim not in (2, 3) or not 1 <= channels <= 4 or image.dtype not in (np.uint8, np.uint16, np.float32):
        raise InputError(
            f"{what}: wanted an 8-bit, 16-bit or float grey or RGB picture, got {image.dtype} of shape {image.shape}"
        )
    if image.ndim == 2:
        return image, False
    red, green, blue = (image[..., k] for k in ((0, 1, 2) if channels >= 3 else (0, 0, 0)))
    if np.array_equal(red, green) and np.array_equal(red, blue):
        return np.ascontiguousarray(red), False
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(image[..., :3]), cv2.COLOR_RGB2GRAY)), True
