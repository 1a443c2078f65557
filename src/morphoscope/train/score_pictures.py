"""Labelled images in memory, as a network of patches sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from morphoscope.errors import InputError
from morphoscope.io.score_data import ScoreData, ScoreExample
from morphoscope.measure.patches import Target, patch_targets
from morphoscope.models.patches import PatchImage, patch_grid

Array = NDArray[np.float32]
MOST_PATCHES = 400  # of one image that are kept in mind as places to learn from


@dataclass(frozen=True)
class Picture:
    """A labelled image, resized so that patches are as large as the network's input, and where patches of it are learnt.

    `corners` (m, 2) is the first px (y, x) of each of these patches and `targets` (m, k) what is true of it.
    """

    example: ScoreExample
    image: PatchImage
    masks: NDArray[np.bool_] | None
    corners: NDArray[np.int64]
    targets: Array

    def target_at(self, y: float, x: float, side: float, target: Target) -> Array:
        """What is true (k,) of a patch of the resized image, of any side, that begins at (y, x)."""
        if self.masks is None:
            assert self.example.target is not None
            return self.example.target
        zoom = self.image.zoom
        cx, cy = ((first + side / 2) / zoom - 0.5 for first in (x, y))
        return np.asarray(patch_targets(self.masks, [cx], [cy], side / zoom, target)[0])


@dataclass(frozen=True)
class Facts:
    """What is known of a labelled image that can be read; its pixels are not kept."""

    example: ScoreExample
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    grey: bool


def survey(data: ScoreData) -> tuple[list[Facts], list[str]]:
    """What is known of the images, and those that cannot be read with the reason.

    Raises:
        InputError: none can be read.
    """
    read, skipped = [], []
    for one in data.examples:
        try:
            image = one.image()
        except InputError as error:
            skipped.append(f"{one.name}: {error}")
            continue
        grey = bool(image.ndim == 2 or (image == image[..., :1]).all())
        read.append(Facts(one, (image.shape[0], image.shape[1]), image.dtype, grey))
    if not read:
        raise InputError(f"none of the {len(skipped)} labelled images can be read: {'; '.join(skipped[:3])}")
    return read, skipped


def as_pictures(
    examples: Sequence[ScoreExample],
    *,
    channels: int,
    side: int,
    seen_px: float,
    preprocess: str,
    target: Target,
) -> tuple[list[Picture], list[str]]:
    """Images as a network sees them, and those that are smaller than a patch or do not fit their masks, with the reason.

    Args:
        examples: labelled images that can be read.
        channels: of the network's input.
        side: of the network's input, px.
        seen_px: side in px of the stored image that a patch covers.
        preprocess: the input scaling, see `models.preprocess`.
        target: what a patch of a marked image is taught, see `patch_targets`.
    """
    pictures, skipped = [], []
    for example in examples:
        try:
            stored = example.image()
            height, width = stored.shape[:2]
            if min(height, width) < round(seen_px):
                raise InputError(f"{width} x {height} px is smaller than a patch of {seen_px:g} px")
            image = PatchImage(stored, channels=channels, preprocess=preprocess, zoom=side / seen_px)
            masks = None if example.marks is None else example.marks.read((height, width))
            pictures.append(_picture(example, image, masks, side, target))
        except InputError as error:
            skipped.append(f"{example.name}: {error}")
    return pictures, skipped


def _picture(example: ScoreExample, image: PatchImage, masks: NDArray[np.bool_] | None, side: int, target: Target) -> Picture:
    stride = side if masks is None else max(side // 2, 1)
    corners = patch_grid(image.shape, side, stride).corners
    if len(corners) > MOST_PATCHES:
        corners = corners[np.sort(np.random.default_rng(0).choice(len(corners), MOST_PATCHES, replace=False))]
    if masks is None:
        assert example.target is not None
        return Picture(example, image, None, corners, np.repeat(example.target[None], len(corners), axis=0))
    middle = (corners + side / 2) / image.zoom - 0.5
    targets = patch_targets(masks, middle[:, 1], middle[:, 0], side / image.zoom, target)
    return Picture(example, image, masks, corners, targets)


def fixed_patches(pictures: Sequence[Picture], side: int, *, most: int) -> tuple[Array, Array]:
    """Patches (n, c, s, s) at the pictures' own places, as they are, and their targets (n, k); at most so many of them."""
    places = [(k, j) for k, one in enumerate(pictures) for j in range(len(one.corners))]
    if len(places) > most:
        chosen = np.random.default_rng(0).choice(len(places), most, replace=False)
        places = [places[i] for i in np.sort(chosen)]
    corners = [(pictures[k].image, *pictures[k].corners[j].tolist()) for k, j in places]
    patches = [image.read(y, x, side, side) for image, y, x in corners]
    return np.stack(patches), np.stack([pictures[k].targets[j] for k, j in places])


def resized(patch: Array, side: int) -> Array:
    """A patch (c, s, s) with another side."""
    if patch.shape[1] == side:
        return patch
    how = cv2.INTER_AREA if patch.shape[1] > side else cv2.INTER_LINEAR
    out = cv2.resize(patch.transpose(1, 2, 0), (side, side), interpolation=how).reshape(side, side, len(patch))
    return np.ascontiguousarray(out.transpose(2, 0, 1))
