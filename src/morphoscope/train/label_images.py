"""Images with label images as training examples: reading, folds of whole images, crops."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from morphoscope.io.label_images import Pair, read_pairs
from morphoscope.models.preprocess import robust_scale
from morphoscope.train import augment
from morphoscope.train.datasets import unit_scale
from morphoscope.train.instances import targets

SMALL, LARGE = 14.0, 100.0  # px: a crop is magnified so that the median diameter of its image's particles lies between these
LEAST, MOST = 0.3, 3.0  # range of the magnification
NARROW = 0.3  # part of the grey scale that an image may use before it is spread
ABOUT = 0.25  # spread of the logarithm of a magnification that is given
CROWD, LEANING = 60, 0.33  # an image is drawn in proportion to its number of particles (at most CROWD) to this power


@dataclass(frozen=True)
class LabelledImage:
    """An image (h, w) on the 0 to 1 scale and its label image (h, w), 0 background."""

    name: str
    image: NDArray[np.float32]
    labels: NDArray[np.int32]

    @cached_property
    def diameter_px(self) -> float:
        """Median area-equivalent diameter of its particles; nan where there are none."""
        area = np.bincount(self.labels.ravel())[1:]
        return float(np.sqrt(4 * np.median(area[area > 0]) / np.pi)) if area.any() else float("nan")

    @cached_property
    def scaled(self) -> NDArray[np.float32]:
        """The whole image (h, w) as a network sees it."""
        return robust_scale(self.image)

    @cached_property
    def places(self) -> dict[int, NDArray[np.int64]]:
        """Where each label is: its pixels (n, 2) as x, y."""
        return {int(k): np.argwhere(self.labels == k)[:, ::-1] for k in np.unique(self.labels[self.labels > 0])}


def read_label_images(root: Path) -> list[LabelledImage]:
    """The pairs of `image/<name>.*` and `instances/<name>.*` in a folder, by name.

    Raises:
        InputError: see `io.label_images.read_pairs`.
    """
    return [as_example(one) for one in read_pairs(root)]


def as_example(pair: Pair) -> LabelledImage:
    """A pair from disk as an example to learn from."""
    return LabelledImage(pair.name, stretched(unit_scale(pair.image())), pair.labels)


def stretched(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """The image (h, w) with its grey values spread over the 0 to 1 scale, where they use less than `NARROW` of it.

    The network sees images scaled by their own spread anyway, but changes of light and noise in training are on this scale.
    """
    low, high = np.percentile(image, (0.1, 99.9))
    if not 0 < high - low < NARROW:
        return image
    return np.asarray(np.clip(0.1 + 0.8 * (image - low) / (high - low), 0, 1), np.float32)


def fold_of(count: int, folds: int) -> NDArray[np.int64]:
    """The fold (count,) of each of `count` images, the same at each call."""
    fold = np.empty(count, np.int64)
    fold[np.random.default_rng(0).permutation(count)] = np.arange(count) % folds
    return fold


def shares(examples: list[LabelledImage]) -> NDArray[np.float64]:
    """How often each example is drawn; crowded images more often. They add up to 1."""
    counts = [min(len(np.unique(e.labels)), CROWD) for e in examples]
    share = np.array(counts, float) ** LEANING
    return np.asarray(share / share.sum())


def crop(
    example: LabelledImage, size: int, rng: np.random.Generator, *, zoom: float | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """A random crop as the network learns it: input (1, s, s), targets (7, s / 2, s / 2), valid (1, s / 2, s / 2).

    Magnified, turned, sheared, mirrored, changed in light and noise; beyond the image nothing is learnt.

    Args:
        example: a labelled image.
        size: s, px.
        rng: what chance decides.
        zoom: magnified about so much, bright and dark stay what they are and no noise is added, as suits images of one kind;
            None for all sizes of particles, either polarity and noise.
    """
    image, labels = moved(example, size, rng, zoom=zoom)
    valid = labels >= 0
    return image[None], targets(np.where(valid, labels, 0)), valid[None].astype(np.float32)


def moved(
    example: LabelledImage, size: int, rng: np.random.Generator, *, zoom: float | None = None
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """A random crop (s, s) as the network sees it and its labels (s / 2, s / 2), -1 beyond the image; see `crop`."""
    factor = _factor(example, rng) if zoom is None else zoom * float(np.exp(rng.uniform(-ABOUT, ABOUT)))
    matrix = crop_matrix(example.image.shape, size, factor, rng)
    blurred = cv2.GaussianBlur(example.image, (0, 0), 0.4 / factor) if factor < 0.8 else example.image
    image = cv2.warpAffine(blurred, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    coarse = matrix / 2
    coarse[:, 2] = (matrix[:, 2] - 0.5) / 2
    side = (size // 2, size // 2)
    # float32 holds integers up to 2^24 exactly; warpAffine takes no int32
    labels = cv2.warpAffine(example.labels.astype(np.float32), coarse, side, flags=cv2.INTER_NEAREST, borderValue=-1)
    image, labels = turned(np.asarray(image), np.asarray(labels).astype(np.int32), rng)
    if zoom is None:
        image = augment.noise(augment.light(1 - image if rng.random() < 0.1 else image, rng), rng)
    else:
        image = augment.light(image, rng)
    return robust_scale(image), labels


def _factor(example: LabelledImage, rng: np.random.Generator) -> float:
    """How much a crop is magnified."""
    wanted = float(np.exp(rng.uniform(np.log(SMALL), np.log(LARGE))))
    typical = example.diameter_px
    return float(np.clip(wanted / typical, LEAST, MOST)) if np.isfinite(typical) else float(np.exp(rng.uniform(-1, 1)))


def crop_matrix(
    shape: tuple[int, ...], size: int, factor: float, rng: np.random.Generator, *, about: tuple[float, float] | None = None
) -> NDArray[np.float64]:
    """Image to crop: (2, 3), magnified by a factor, a little stretched and turned; somewhere, or near a point (x, y)."""
    stretch = float(np.exp(rng.normal(0, 0.08)))
    scale = np.array([factor * stretch, factor / stretch])
    angle = rng.uniform(-0.5, 0.5) if rng.random() < 0.3 else 0.0
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = scale[:, None] * turn
    room = np.array(shape[1::-1]) - size / scale
    first = rng.uniform(np.minimum(room, 0), np.maximum(room, 0))
    if about is not None:
        near = np.array(about) - rng.uniform(0.1, 0.9, 2) * size / scale
        first = np.clip(near, np.minimum(room, 0), np.maximum(room, 0))
    middle = first + size / scale / 2
    return np.column_stack([linear, size / 2 - 0.5 - linear @ middle])


def turned(
    image: NDArray[Any], labels: NDArray[np.int32], rng: np.random.Generator, *, upright: bool = False
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """A crop and its labels (s, s), mirrored and turned by quarters at random; `upright`: only left and right are exchanged."""
    if rng.random() < 0.5:
        image, labels = image[:, ::-1], labels[:, ::-1]
    quarter = 0 if upright else int(rng.integers(4))
    return np.ascontiguousarray(np.rot90(image, quarter)), np.ascontiguousarray(np.rot90(labels, quarter))
