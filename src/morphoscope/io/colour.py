"""One picture with its colours, for what is learnt from colour; everything else here reads grey."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from morphoscope.errors import InputError
from morphoscope.io.frames import Image
from morphoscope.io.open import family_of, open_frames
from morphoscope.io.pictures import read_stored, stored_dtype
from morphoscope.io.tiff import TiffFrames


def read_colour(path: str | Path) -> Image:
    """The values of a picture file as stored: (h, w, 3) in the order red, green, blue, or (h, w) where it is grey.

    8- and 16-bit values stay as they are, others become float32. Colour tables are applied, opacity is left out; a picture whose
    channels are all alike is grey.

    Raises:
        InputError: nothing there, damaged, of another kind, or a stack of more than one frame.
    """
    path = Path(path)
    family = family_of(path)
    if family == "flat" and path.is_file():
        return _flat(path)
    if path.is_dir():
        raise InputError(f"wanted one picture, {path} is a folder")
    if family == "video":
        raise InputError(f"wanted one picture, {path} is a video")
    with open_frames(path) as frames:
        if len(frames) > 1:
            raise InputError(f"wanted one picture, {path} is a stack of {len(frames)} frames; save those wanted one by one")
        return _grey_if_alike(frames.colours(0)) if isinstance(frames, TiffFrames) else frames[0]


def _flat(path: Path) -> Image:
    stored, _ = read_stored(path)
    if stored.ndim == 3:
        stored = cv2.cvtColor(stored, cv2.COLOR_BGR2RGB if stored.shape[2] == 3 else cv2.COLOR_BGRA2RGB)
    return _grey_if_alike(stored_dtype(stored, str(path)))


def _grey_if_alike(image: Image) -> Image:
    if image.ndim == 2:
        return image
    red, green, blue = (image[..., k] for k in range(3))
    return np.ascontiguousarray(red) if np.array_equal(red, green) and np.array_equal(red, blue) else image
