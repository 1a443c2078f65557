"""Labelled images as training examples."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from morphoscope.errors import InputError
from morphoscope.io.labels import LabelledImages
from morphoscope.io.open import open_frames
from morphoscope.recipe import Region
from morphoscope.synth.loops import LoopVideo, random_scene
from morphoscope.train.loop import Example


def unit_scale(image: NDArray[Any]) -> NDArray[np.float32]:
    """The image on the 0 to 1 scale: integers by their dtype's range, floats by their own."""
    if np.issubdtype(image.dtype, np.integer):
        return (image / np.float32(np.iinfo(image.dtype).max)).astype(np.float32)
    low, high = float(image.min()), float(image.max())
    return ((image - low) / max(high - low, 1e-12)).astype(np.float32)


def valid_mask(
    shape: tuple[int, int], inside: Region | None, *, without: Iterable[tuple[float, float]] = ()
) -> NDArray[np.uint8]:
    """(h, w) mask, 1 in the region whose labels are complete, less bands of x (x0 <= x < x1, px) that are held out."""
    mask = np.zeros(shape, np.uint8)
    region = inside or Region(x0=0, y0=0, x1=shape[1], y1=shape[0])
    mask[region.y0 : region.y1, region.x0 : region.x1] = 1
    for x0, x1 in without:
        mask[:, max(int(x0), 0) : max(int(x1), 0)] = 0
    return mask


def boxes_in(boxes: NDArray[np.float64], valid: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The boxes (n, 5) whose centre lies where `valid` (h, w) is 1; a centre outside the image counts at its edge."""
    x = np.clip(np.rint((boxes[:, 0] + boxes[:, 2]) / 2).astype(int), 0, valid.shape[1] - 1)
    y = np.clip(np.rint((boxes[:, 1] + boxes[:, 3]) / 2).astype(int), 0, valid.shape[0] - 1)
    return np.asarray(boxes[valid[y, x] > 0])


def box_array(table: pd.DataFrame, classes: Sequence[str]) -> NDArray[np.float64]:
    """Rows x0, y0, x1, y1, label as (n, 5) with the class number last."""
    numbers = table["label"].map({name: k for k, name in enumerate(classes)})
    if numbers.isna().any():
        unknown = sorted(set(table["label"][numbers.isna()]))
        raise InputError(f"the labels hold the classes {', '.join(unknown)}, wanted only {', '.join(classes)}")
    return np.column_stack([table[["x0", "y0", "x1", "y1"]].to_numpy(float), numbers.to_numpy(float)])


def detection_examples(
    data: LabelledImages, classes: Sequence[str], *, without: Iterable[tuple[float, float]] = ()
) -> list[Example]:
    """One example per labelled image, for images of any sizes.

    Args:
        data: images, boxes and the region they are complete in.
        classes: class names in the model's order.
        without: bands of x (px) held out for validation: nothing in them is learnt.
    """
    held_out = list(without)
    examples = []
    for name, path in data.images.items():
        with open_frames(path) as frames:
            image = unit_scale(frames[0])
        valid = valid_mask(image.shape, data.complete_region, without=held_out)
        boxes = box_array(data.boxes[data.boxes["file"] == name], classes)
        examples.append(Example(image, boxes_in(boxes, valid), valid))
    return examples


def synthetic_loops(scenes: int, *, weight: float, shape: tuple[int, int] = (400, 560)) -> list[Example]:
    """One frame of each of a number of drawn scenes with known loops (class 0), all of them together of that weight."""
    examples = []
    for seed in range(scenes):
        with LoopVideo(random_scene(seed, shape=shape)) as video:
            frame = int(np.random.default_rng(seed).integers(len(video)))
            truth = video.truth_at(frame)
            image = unit_scale(video[frame])
        centre, half = truth[["x_px", "y_px"]].to_numpy(float), truth[["width_px", "height_px"]].to_numpy(float) / 2
        boxes = np.hstack([centre - half, centre + half, np.zeros((len(truth), 1))])
        examples.append(Example(image, boxes, np.ones(image.shape, np.uint8), weight / scenes))
    return examples
