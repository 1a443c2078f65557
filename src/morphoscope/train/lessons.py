"""The two things a segmenter can learn, particles apart or classes of pixels, and how each is judged on images never learnt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from morphoscope.io.label_images import is_semantic
from morphoscope.measure.mask_scores import IOU, Counts, count_matches, count_pixels, f1_of, iou_of, mean_iou
from morphoscope.models.class_maps import CLASSES, class_outputs, shown
from morphoscope.models.instances import CHANNELS, INSTANCES
from morphoscope.models.segment import Segmenter
from morphoscope.train.class_maps import class_crop, class_loss, read_class_images, typical_px
from morphoscope.train.instances import loss
from morphoscope.train.label_images import LabelledImage, crop, read_label_images

INSTANCE_THRESHOLDS = (0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75)
CLASS_THRESHOLDS = tuple(round(0.2 + 0.05 * k, 2) for k in range(13))
WIDTH_PX = 14.0  # objects of a class are magnified to this width where it is known, at most `ZOOM` times
ZOOM = 3.0
FINE = 16  # channels of the last level of a network of classes


@dataclass(frozen=True)
class Lesson:
    """What a network learns.

    `maps`: names of the network's outputs. `fine`: channels of its last level at full resolution, see `InstanceNet`. `views`:
    mirror images that are averaged in use, see `ModelCard.views`. `crop` gives input, target and valid of a random crop; `loss`
    takes output, target and valid; `judge` counts right, wrong and missed (thresholds, ..., 3) on one image at each of
    `thresholds`; `score` makes one number of counts (..., 3). `unvalidated` is the threshold where no image was held out.
    """

    classes: tuple[str, ...]
    postprocess: str
    maps: tuple[str, ...]
    fine: int
    views: int
    thresholds: tuple[float, ...]
    unvalidated: float
    crop: Callable[..., tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]]
    loss: Callable[[Tensor, Tensor, Tensor], Tensor]
    judge: Callable[[Segmenter, LabelledImage], Counts]
    score: Callable[[Counts], NDArray[np.float64]]

    def metrics(self, counts: Counts) -> dict[str, float]:
        """What the card says of pooled counts."""
        if self.postprocess == INSTANCES:
            return {"f1": float(f1_of(counts)), "iou": IOU}
        each = dict(zip(self.classes, iou_of(counts).tolist(), strict=True)) if len(self.classes) > 1 else {}
        found = {"iou": float(mean_iou(counts)), **{f"iou_{name}": value for name, value in each.items()}}
        return {name: value for name, value in found.items() if np.isfinite(value)}


def read_lesson(root: Path, *, upright: bool = False) -> tuple[list[LabelledImage], Lesson]:
    """The labelled images in a folder, and what is to be learnt from them: instances/ where it is there, else mask/.

    Args:
        root: the folder.
        upright: see `class_lesson`.

    Raises:
        InputError: as the two readers say.
    """
    if is_semantic(root):
        data, classes = read_class_images(root)
        return data, class_lesson(classes, upright=upright)
    return read_label_images(root), PARTICLES


def fitting_zoom(data: list[LabelledImage]) -> float:
    """How much images are magnified so that objects of a class are typically `WIDTH_PX` wide: 1 to `ZOOM`, in steps of a half."""
    wide = typical_px(data)
    return float(np.clip(np.round(2 * WIDTH_PX / wide) / 2, 1.0, ZOOM)) if np.isfinite(wide) else 1.0


def judge_particles(segmenter: Segmenter, one: LabelledImage) -> Counts:
    """Counts (thresholds, 3) of particles at the magnification that suits the image."""
    zoom = segmenter.zoom_of(one.image)
    maps = segmenter.maps(one.image, zoom)
    return np.stack(
        [count_matches(segmenter.read(maps, one.image, zoom=zoom, threshold=at)[0], one.labels) for at in INSTANCE_THRESHOLDS]
    )


def judge_classes(segmenter: Segmenter, one: LabelledImage) -> Counts:
    """Counts (thresholds, classes, 3) of pixels; the network runs once."""
    chance, best = shown(segmenter.maps(one.image), (one.image.shape[0], one.image.shape[1]))
    return count_classes(chance, best, one.labels, len(segmenter.card.classes))


def count_classes(
    chance: NDArray[np.float32], best: NDArray[np.uint8], true: NDArray[np.int32], number: int
) -> NDArray[np.int64]:
    """Counts (thresholds, classes, 3) of pixels of what `models.class_maps.shown` gives, against class maps (h, w)."""
    return np.stack([count_pixels(np.where(chance > at, best, 0), true, number) for at in CLASS_THRESHOLDS])


def class_score(counts: Counts) -> NDArray[np.float64]:
    """`mean_iou`; 1 where no class is and none was found."""
    return np.nan_to_num(mean_iou(counts), nan=1.0)


def class_lesson(classes: tuple[str, ...], *, upright: bool = False) -> Lesson:
    """The class of each pixel; `upright`: of images that have an up and a down, see `class_crop`."""
    return Lesson(
        classes=classes,
        postprocess=CLASSES,
        maps=class_outputs(classes),
        fine=FINE,
        views=2 if upright else 4,
        thresholds=CLASS_THRESHOLDS,
        unvalidated=0.5,
        crop=partial(class_crop, upright=upright),
        loss=class_loss,
        judge=judge_classes,
        score=class_score,
    )


PARTICLES = Lesson(
    classes=("particle",),
    postprocess=INSTANCES,
    maps=CHANNELS,
    fine=0,
    views=1,
    thresholds=INSTANCE_THRESHOLDS,
    unvalidated=0.55,
    crop=crop,
    loss=loss,
    judge=judge_particles,
    score=f1_of,
)
