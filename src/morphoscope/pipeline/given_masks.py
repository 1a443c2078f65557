"""Masks that are given, measured like those that are found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from morphoscope.io.shapes import Mask
from morphoscope.pipeline.finders import Labels, Measured
from morphoscope.pipeline.height_maps import with_heights
from morphoscope.pipeline.masks import measure_labels, without_excluded
from morphoscope.pipeline.stages import Image, Plan

CARRIED = ["label", "score", "track_id", "given_id"]


def measure_given_masks(masks: Sequence[Mask], table: pd.DataFrame, image: Image, plan: Plan) -> Measured:
    """Shapes of the masks of a frame, in the order given, and heights on a height map.

    What lies outside of the region or in an excluded part does not count.

    Masks that overlap are each measured whole; in the label image earlier ones lie on top.

    Args:
        masks: n of them, in px of the stored frame.
        table: their label, score, track and the id they were given with, n rows.
        image: (h, w) of the frame.
        plan: of the frame.
    """
    layers = [without_excluded(layer, plan) for layer in _layers(masks, plan)]
    parts, labels = [], layers[0]
    for layer in layers:
        measured, _, old = measure_labels(layer, plan)
        parts.append(measured.assign(mask_label=old))
        labels = np.where(labels == 0, layer, labels)
    measured = pd.concat([part for part in parts if len(part)] or parts[:1]).sort_values("mask_label", ignore_index=True)
    old = measured["mask_label"].to_numpy(np.int64)
    if plan.heights:
        measured = with_heights(measured, image, plan, everything=labels, value=old)
    number = np.zeros(len(masks) + 1, np.int32)
    number[old] = np.arange(1, len(measured) + 1)
    carried = table.loc[old - 1, CARRIED].reset_index(drop=True)
    measured = pd.concat([carried, measured.assign(mask_label=np.arange(1, len(measured) + 1))], axis=1)
    return Measured(measured, number[labels])


def _layers(masks: Sequence[Mask], plan: Plan) -> list[Labels]:
    """Label images of the region, mask k with value k + 1, in as few of them as keep overlapping masks apart."""
    region = plan.region
    layers = [np.zeros((region.y1 - region.y0, region.x1 - region.x0), np.int32)]
    for k, mask in enumerate(masks):
        top, left = max(mask.y0, region.y0), max(mask.x0, region.x0)
        bottom, right = min(mask.y0 + mask.height, region.y1), min(mask.x0 + mask.width, region.x1)
        if top >= bottom or left >= right:
            continue
        pixels = mask.pixels[top - mask.y0 : bottom - mask.y0, left - mask.x0 : right - mask.x0]
        place = np.s_[top - region.y0 : bottom - region.y0, left - region.x0 : right - region.x0]
        for layer in layers:
            if not layer[place][pixels].any():
                break
        else:
            layer = np.zeros_like(layers[0])
            layers.append(layer)
        layer[place][pixels] = k + 1
    return layers
