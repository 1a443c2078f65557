"""Otsu + watershed of scikit-image, tuned: what a network of particles has to beat."""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.filters import gaussian, threshold_otsu
from skimage.segmentation import watershed


class Settings(NamedTuple):
    """One way to run it."""

    sigma: float  # blur before the threshold, px
    bright: bool | None  # particles are brighter than the ground; None: the side that touches less of the picture's edge
    distance: int  # least distance of two centres, px
    smooth: float  # blur of the distance map, px
    smallest: int  # smallest area, px


GRID = tuple(Settings(*values) for values in itertools.product((1.0, 2.0), (True, None), (7, 15, 30), (2.0,), (50, 200)))


def otsu_watershed(image: NDArray[Any], settings: Settings) -> NDArray[np.int32]:
    """Label image (h, w) of a grey image (h, w)."""
    smooth = gaussian(image.astype(float), settings.sigma)
    inside = smooth > threshold_otsu(smooth)
    rim = np.concatenate([inside[0], inside[-1], inside[:, 0], inside[:, -1]])
    if settings.bright is None and rim.mean() > 0.5:
        inside = ~inside
    depth = ndimage.gaussian_filter(ndimage.distance_transform_edt(inside), settings.smooth)
    peaks = peak_local_max(depth, min_distance=settings.distance, labels=ndimage.label(inside)[0], exclude_border=False)
    seeds = np.zeros(image.shape, np.int32)
    seeds[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    labels = watershed(-depth, seeds, mask=inside)
    kept = np.bincount(labels.ravel()) >= settings.smallest
    kept[0] = False
    return np.where(kept[labels], labels, 0).astype(np.int32)
