"""What a network of particles learns: maps drawn from a label image, and the loss."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from morphoscope.models.instances import REACH_PX, depth_below_edge, edges


def targets(labels: NDArray[Any]) -> NDArray[np.float32]:
    """Target maps (7, h, w) of a label image (h, w): the channels of `models.instances.CHANNELS`, then a weight.

    Core is the depth below the particle's edge over its greatest depth; the centre is a Gaussian of an eighth of the
    particle's diameter; the way to the centre counts in units of `REACH_PX`. The weight is 1 / diameter in particles
    (in px, at most 1/4), so large ones do not drown small ones, and 0 outside.
    """
    height, width = labels.shape
    _, flat = np.unique(labels, return_inverse=True)
    flat = flat.reshape(labels.shape) if (labels == 0).any() else flat.reshape(labels.shape) + 1
    inside, count = flat > 0, int(flat.max()) + 1
    area = np.maximum(np.bincount(flat.ravel(), minlength=count), 1)
    y, x = np.mgrid[:height, :width]
    cx = np.bincount(flat.ravel(), x.ravel(), count) / area
    cy = np.bincount(flat.ravel(), y.ravel(), count) / area
    depth = depth_below_edge(labels)
    deepest = np.zeros(count)
    np.maximum.at(deepest, flat.ravel(), depth.ravel())
    diameter = np.sqrt(4 * area / np.pi)
    dx, dy = cx[flat] - x, cy[flat] - y
    spread = np.maximum(diameter / 8, 1.0)[flat]
    heat = np.exp(-(dx**2 + dy**2) / (2 * spread**2)) * inside
    core = depth / np.maximum(deepest, 1)[flat]
    weight = inside / np.maximum(diameter, 4.0)[flat]
    return np.stack([inside, edges(labels), core, heat, dx / REACH_PX * inside, dy / REACH_PX * inside, weight]).astype(
        np.float32
    )


def loss(output: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Loss of maps (n, 6, h, w) against targets (n, 7, h, w) where `valid` (n, 1, h, w) is 1.

    Cross entropy and Dice of the foreground, cross entropy of border and core, focal loss of the centres, L1 of the way.
    """
    output = output.float()
    foreground, border, core, heat = (target[:, k : k + 1] for k in range(4))
    weight = target[:, 6:7] * valid
    even = valid * (1 + 3 * target[:, 6:7] / target[:, 6:7].amax().clamp(min=1e-6))
    even = even / even.sum().clamp(min=1)
    cross = torch.nn.functional.binary_cross_entropy_with_logits
    total = cross(output[:, :1], foreground, even, reduction="sum")
    shown = torch.sigmoid(output[:, :1]) * valid
    overlap = (shown * foreground).sum(dim=(1, 2, 3))
    size = shown.sum(dim=(1, 2, 3)) + (foreground * valid).sum(dim=(1, 2, 3))
    total = total + (1 - (2 * overlap + 1) / (size + 1)).mean() / 2
    total = total + cross(output[:, 1:2], border, even * (1 + 3 * border), reduction="sum")
    total = total + cross(output[:, 2:3], core, even * (1 + 3 * foreground), reduction="sum")
    total = total + _focal(output[:, 3:4], heat, valid)
    away = (output[:, 4:6] - target[:, 4:6]).abs() * weight
    return total + 2 * away.sum() / weight.sum().clamp(min=1e-3)


def _focal(logits: Tensor, heat: Tensor, valid: Tensor) -> Tensor:
    probability = torch.sigmoid(logits).clamp(1e-5, 1 - 1e-5)
    near = heat > 0.9
    found = near * (1 - probability) ** 2 * torch.log(probability)
    wrong = ~near * (1 - heat) ** 4 * probability**2 * torch.log(1 - probability)
    return -((found + wrong) * valid).sum() / (near * valid).sum().clamp(min=1) / 2
