"""What a centre-heatmap detector learns: targets and loss."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def targets(boxes: NDArray[np.float64], classes: int, cells: int, stride: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Targets of boxes (n, 5) x0, y0, x1, y1, class.

    Gives heatmaps (classes, cells, cells) and box maps (5, cells, cells): offset x, y, log width, log height, weight.

    Each object spreads a Gaussian of a sixth of its box over the cells; the box is learnt on the 3x3 cells round its centre,
    the nearest object winning.
    """
    heat = np.zeros((classes, cells, cells), np.float32)
    box = np.zeros((5, cells, cells), np.float32)
    grid = np.arange(cells, dtype=np.float32)
    best = np.full((cells, cells), np.inf, np.float32)
    for *corners, label in boxes:
        x0, y0, x1, y1 = ((corner + 0.5) / stride - 0.5 for corner in corners)
        width, height = max(x1 - x0, 0.5), max(y1 - y0, 0.5)
        x, y = (x0 + x1) / 2, (y0 + y1) / 2
        column, row = round(x), round(y)
        if not (0 <= column < cells and 0 <= row < cells):
            continue
        sx, sy = max(width / 6, 0.5), max(height / 6, 0.5)
        bump = np.exp(-((grid - column) ** 2) / (2 * sx**2))[None] * np.exp(-((grid - row) ** 2) / (2 * sy**2))[:, None]
        np.maximum(heat[int(label)], bump, out=heat[int(label)])
        rows, columns = slice(max(row - 1, 0), row + 2), slice(max(column - 1, 0), column + 2)
        dx, dy = x - grid[columns][None], y - grid[rows][:, None]
        distance = dx**2 + dy**2
        nearer = distance < best[rows, columns]
        best[rows, columns] = np.where(nearer, distance, best[rows, columns])
        for channel, value in enumerate((dx + 0 * dy, dy + 0 * dx, math.log(width), math.log(height), 1.0)):
            box[channel, rows, columns] = np.where(nearer, value, box[channel, rows, columns])
    return heat, box


def loss(output: Tensor, heat: Tensor, box: Tensor, valid: Tensor) -> Tensor:
    """Penalty-reduced focal loss of the heatmaps plus the generalised IoU and L1 losses of the boxes, on valid cells only."""
    classes = heat.shape[1]
    logits, boxes = output[:, :classes].float(), output[:, classes:].float()
    probability = torch.sigmoid(logits).clamp(1e-5, 1 - 1e-5)
    positive = (heat > 0.999).float()
    focal = positive * (1 - probability) ** 2 * torch.log(probability)
    focal = focal + (1 - positive) * (1 - heat) ** 4 * probability**2 * torch.log(1 - probability)
    count = (positive * valid).sum().clamp(min=1)
    weight = (box[:, 4] * valid[:, 0])[:, None]
    total = weight.sum().clamp(min=1)
    l1 = ((boxes - box[:, :4]).abs() * weight).sum() / total
    iou = ((1 - _giou(boxes, box[:, :4])) * weight[:, 0]).sum() / total
    return -(focal * valid).sum() / count + 0.5 * l1 + iou


def _giou(a: Tensor, b: Tensor) -> Tensor:
    ax, ay, bx, by = a[:, 0], a[:, 1], b[:, 0], b[:, 1]
    aw, ah = (a[:, k].clamp(-4, 6).exp() / 2 for k in (2, 3))
    bw, bh = (b[:, k].exp() / 2 for k in (2, 3))
    left, right = torch.maximum(ax - aw, bx - bw), torch.minimum(ax + aw, bx + bw)
    top, bottom = torch.maximum(ay - ah, by - bh), torch.minimum(ay + ah, by + bh)
    inner = (right - left).clamp(min=0) * (bottom - top).clamp(min=0)
    union = 4 * aw * ah + 4 * bw * bh - inner
    width = torch.maximum(ax + aw, bx + bw) - torch.minimum(ax - aw, bx - bw)
    height = torch.maximum(ay + ah, by + bh) - torch.minimum(ay - ah, by - bh)
    hull = width * height
    return inner / union - (hull - union) / hull
