"""Augmentation of image crops with their boxes.

The published set (left-right flip, lightness; hue and saturation act on colour images only) and beyond it: right-angle
turns, scale, contrast, blur and the noise kinds a detector is later tested with.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Generator = np.random.Generator
Boxes = NDArray[np.float64]


def crop(
    image: NDArray[Any], boxes: Boxes, valid: NDArray[np.uint8], size: int, rng: Generator, *, zoom: float = 1.3
) -> tuple[NDArray[Any], Boxes, NDArray[np.uint8]]:
    """A random square crop, magnified by 1/zoom to zoom, outside parts mirrored and marked not valid.

    Args:
        image: (h, w).
        boxes: (n, 5) x0, y0, x1, y1 in px and class.
        valid: (h, w), 1 where labels are complete.
        size: side of the crop in px.
        rng: random generator.
        zoom: largest magnification.

    Returns:
        crop (size, size), boxes in it (those whose centre is inside), valid (size, size).
    """
    height, width = image.shape
    factor = float(np.exp(rng.uniform(-np.log(zoom), np.log(zoom))))
    side = size / factor
    columns = np.flatnonzero(valid.any(axis=0))
    left = rng.uniform(columns[0] - side / 4, max(columns[-1] + side / 4 - side, columns[0]) + 1e-6)
    top = rng.uniform(-side / 8, max(height + side / 8 - side, -side / 8 + 1e-6))
    matrix = np.array([[factor, 0, -left * factor], [0, factor, -top * factor]])
    out = cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    mask = cv2.warpAffine(valid, matrix, (size, size), flags=cv2.INTER_NEAREST, borderValue=0)
    moved = boxes.copy()
    moved[:, :4] = (boxes[:, :4] - (left, top, left, top)) * factor
    centre = (moved[:, :2] + moved[:, 2:4]) / 2
    inside = ((centre >= 0) & (centre < size)).all(axis=1)
    return np.asarray(out), moved[inside], np.asarray(mask, np.uint8)


def turn(
    image: NDArray[Any], boxes: Boxes, valid: NDArray[np.uint8], rng: Generator
) -> tuple[NDArray[Any], Boxes, NDArray[np.uint8]]:
    """One of the eight flips and right-angle turns of a square crop."""
    last = image.shape[0] - 1
    if rng.random() < 0.5:
        image, valid = image[:, ::-1], valid[:, ::-1]
        boxes = np.stack([last - boxes[:, 2], boxes[:, 1], last - boxes[:, 0], boxes[:, 3], boxes[:, 4]], axis=1)
    for _ in range(rng.integers(4)):
        image, valid = np.rot90(image), np.rot90(valid)
        boxes = np.stack([boxes[:, 1], last - boxes[:, 2], boxes[:, 3], last - boxes[:, 0], boxes[:, 4]], axis=1)
    return np.ascontiguousarray(image), boxes, np.ascontiguousarray(valid)


def decoys(image: NDArray[np.float32], rng: Generator) -> NDArray[np.float32]:
    """The image with up to two drawn dislocation lines and now and then a burnt-in text: dark or bright, but no object.

    A place without lines to learn from would else take their dark ends for objects.
    """
    out = image
    for _ in range(rng.choice(3, p=(0.4, 0.4, 0.2))):
        out = out * (1 - dislocation_line(image.shape[0], rng))
    if rng.random() < 0.06:
        text = "".join(rng.choice(list("0123456789.- nmdpa"), rng.integers(2, 9)))
        where = (int(rng.integers(-40, image.shape[1])), int(rng.integers(0, image.shape[0])))
        ink = np.zeros(image.shape, np.uint8)
        cv2.putText(
            ink, text, where, cv2.FONT_HERSHEY_SIMPLEX, float(rng.uniform(0.6, 2)), 255, int(rng.integers(1, 5)), cv2.LINE_AA
        )
        out = out + (rng.choice((0.05, 0.95)) - out) * (ink / np.float32(255))
    return out.astype(np.float32)


def dislocation_line(size: int, rng: Generator) -> NDArray[np.float32]:
    """Absorbed fraction (size, size) of one curved line whose width and darkness wander along it, as of inclined dislocations."""
    steps = int(rng.uniform(70, 300))
    heading = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, rng.uniform(0.005, 0.05), steps))
    path = rng.uniform(0, size, 2) + np.cumsum(np.stack([np.cos(heading), np.sin(heading)], axis=1), axis=0)
    along = np.arange(steps)
    period, phase, swing = rng.uniform(25, 120), rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 0.8)
    wave = np.clip(1 - swing + swing * np.sin(2 * np.pi * along / period + phase), 0, None)
    depth, width = wave * rng.uniform(0.25, 0.85), np.maximum((0.3 + wave) * rng.uniform(1.5, 6.5), 0.8)
    line = np.zeros((size, size), np.float32)
    for (x, y), dark, thick in sorted(zip(path, depth, width, strict=True), key=lambda point: float(point[1])):
        cv2.circle(line, (round(x * 8), round(y * 8)), round(thick * 8), float(dark), -1, cv2.LINE_AA, 3)
    return np.asarray(cv2.GaussianBlur(line, (0, 0), float(rng.uniform(0.8, 2.5))), np.float32)


def light(image: NDArray[Any], rng: Generator) -> NDArray[np.float32]:
    """Lightness, contrast and gamma of an image on the 0 to 1 scale, and now and then a slow shading."""
    out = image.astype(np.float32)
    out = np.clip(out, 1e-4, 1) ** np.float32(np.exp(rng.normal(0, 0.15)))
    out = (out - out.mean()) * np.float32(np.exp(rng.normal(0, 0.2))) + out.mean() + np.float32(rng.normal(0, 0.05))
    if rng.random() < 0.3:
        coarse = rng.normal(0, 0.06, (3, 3)).astype(np.float32)
        out = out + cv2.resize(coarse, image.shape[::-1], interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(out, 0, 1), np.float32)


def noise(image: NDArray[np.float32], rng: Generator) -> NDArray[np.float32]:
    """Blur, Gaussian, Poisson or salt-and-pepper noise of random strength, on the 0 to 1 scale; half the images stay clean."""
    kind = rng.random()
    if kind < 0.1:
        return cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.5, 1.5))).astype(np.float32)
    if kind < 0.3:
        deviation = np.sqrt(np.exp(rng.uniform(np.log(2e-4), np.log(0.06))))
        grain = rng.standard_normal(image.shape, dtype=np.float32) * np.float32(deviation)
        return np.asarray(np.clip(image + grain, 0, 1), np.float32)
    if kind < 0.38:
        counts = np.exp(rng.uniform(np.log(20), np.log(400)))
        return np.asarray(np.clip(rng.poisson(image * counts) / counts, 0, 1), np.float32)
    if kind < 0.5:
        share, draw = rng.uniform(0, 0.12), rng.random(image.shape)
        return np.where(draw < share / 2, 0, np.where(draw < share, 1, image)).astype(np.float32)
    return image
