"""Heights and volumes of the particles of a height map, each above the ground around it."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from morphoscope.calibration import Calibration
from morphoscope.errors import InputError

FOOT = 0.3  # width of the foot around a mask, in equivalent diameters
LEAST_FOOT_PX = 2.0
RING_PX = 3.0  # least width of the ring of ground beyond the foot
FEWEST = 10  # px of a ring that tell the level of the ground


def heights(
    image: NDArray[Any],
    labels: NDArray[Any],
    *,
    calibration: Calibration | None = None,
    valid: NDArray[np.bool_] | None = None,
) -> pd.DataFrame:
    """A row of heights per particle of a label image.

    The ground is the median of a ring around the particle that belongs to none; where there is no room for one, of all px
    outside particles. A mask usually ends half way up, so the volume is that of the mask and its foot: the px outside all
    masks that are nearest to this one, within 0.3 of its equivalent diameter.

    Args:
        image: (h, w) heights in nm.
        labels: (h, w) integers, 0 for the background; also of particles whose heights are not wanted, as they are no ground.
        calibration: none or without a scale: volumes are null.
        valid: (h, w), False where px are neither ground nor foot of a particle, such as a legend; None: True.

    Returns:
        By ascending label: `mask_label`, `height_max_nm` (of 3 x 3 medians, so that noise does not add to it), `height_mean_nm`
        (over the mask), `volume_nm3`.

    Raises:
        InputError: the two differ in shape.
    """
    z, marks = np.asarray(image, dtype=np.float64), np.asarray(labels)
    if z.shape != marks.shape or z.ndim != 2:
        raise InputError(f"wanted heights and a label image of one shape (h, w), got {z.shape} and {marks.shape}")
    known = np.unique(marks[marks > 0])
    columns = ("mask_label", "height_max_nm", "height_mean_nm", "volume_nm3")
    if len(known) == 0:
        return pd.DataFrame({name: pd.Series(dtype="int64" if name == "mask_label" else "float64") for name in columns})
    area = ndimage.sum_labels(np.ones_like(z), marks, known)
    distance, nearest = ndimage.distance_transform_edt(marks == 0, return_indices=True)
    owner = np.searchsorted(known, marks[tuple(nearest)])
    foot = np.maximum(FOOT * np.sqrt(4 * area / math.pi), LEAST_FOOT_PX)[owner]
    open_ = marks == 0 if valid is None else (marks == 0) & valid
    ring = open_ & (distance > foot) & (distance <= 2 * foot + RING_PX)
    ground = _grounds(z, owner, ring, open_, len(known))
    top = ndimage.maximum(cv2.medianBlur(z.astype(np.float32), 3).astype(np.float64), marks, known) - ground
    mean = ndimage.mean(z, marks, known) - ground
    own = (marks > 0) | (open_ & (distance <= foot))
    volume = np.bincount(owner[own], (z - ground[owner])[own], len(known))
    pixel = (calibration or Calibration()).area_nm2(1.0)
    return pd.DataFrame(dict(zip(columns, (known.astype(np.int64), top, mean, volume * pixel), strict=True)))


def _grounds(
    z: NDArray[np.float64], owner: NDArray[np.int64], ring: NDArray[np.bool_], outside: NDArray[np.bool_], count: int
) -> NDArray[np.float64]:
    """Level of the ground (count,) around each particle."""
    everywhere = float(np.median(z[outside])) if outside.any() else 0.0
    where = np.where(ring, owner + 1, 0)
    size = np.bincount(where.ravel(), minlength=count + 1)[1:]
    enough = np.flatnonzero(size >= FEWEST)
    ground = np.full(count, everywhere)
    if len(enough):
        ground[enough] = ndimage.median(z, where, enough + 1)
    return ground
