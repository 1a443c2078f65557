"""Stored values as frames give them, where what is stored may be wider."""

from __future__ import annotations

import numpy as np

from morphoscope.errors import InputError
from morphoscope.io.frames import Image
from morphoscope.io.pictures import stored_dtype


def frame_values(image: Image, where: str, factor: float = 1.0) -> Image:
    """`image` (any shape) as uint8, uint16 or float32; with a factor other than 1, `image * factor` as float32.

    Raises:
        InputError: finite values that float32 cannot hold.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        values = image if factor == 1.0 else np.asarray(image * factor, np.float64)
        found = stored_dtype(values, where)
        lost = image.dtype.kind == "f" and image.dtype.itemsize > 4 and bool((np.isinf(found) & ~np.isinf(image)).any())
    if lost:
        raise InputError(f"{where} holds values beyond 3.4e38, which no instrument gives; it is damaged or of another byte order")
    return found
