"""A classifier that needs no model, and pictures it can tell apart."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

import morphoscope as ms
from morphoscope.models.card import HeldOutAnswers, ModelCard
from morphoscope.models.classify import ImageAnswers
from morphoscope.recipe import parse_recipe

CLASSES = ("bright", "dark", "middle")
CENTRES = np.array([0.9, 0.1, 0.5])


def held_out(n: int = 2400) -> HeldOutAnswers:
    """Answers that are right from 0.8 on, and wrong half of the time below; each image a group."""
    top = np.linspace(0.4, 1, n)
    right = (top > 0.8) | (np.arange(n) % 2 == 0)
    return HeldOutAnswers(
        truth_probability=tuple(np.where(right, top, 1 - top)), top=tuple(top), right=tuple(right), group=tuple(range(n))
    )


class GreyClassifier:
    """Tells images by their mean grey; what has colour is foreign."""

    def __init__(self, *, fail_at: int | None = None, **card: object) -> None:
        values = {
            "name": "greys", "task": "classify", "classes": CLASSES, "preprocess": "standard-rgb-1", "view_px": 32,
            "postprocess": "classes-of-image-1", "held_out": held_out(),
        }  # fmt: skip
        self.card = ModelCard.model_validate({**values, **card})
        self.calls, self._fail_at = 0, fail_at

    def prepare(self, image):
        top = np.iinfo(image.dtype).max if image.dtype.kind == "u" else 1.0
        planes = image if image.ndim == 3 else np.stack([image] * 3, axis=-1)
        return (planes.astype(np.float32) / top).transpose(2, 0, 1)

    def answers(self, prepared):
        self.calls += 1
        if self._fail_at is not None and self.calls > self._fail_at:
            raise KeyboardInterrupt
        mean = np.array([one.mean() for one in prepared])
        colour = np.array([np.ptp(one.mean(axis=(1, 2))) for one in prepared])
        power = np.exp(-12 * np.abs(mean[:, None] - CENTRES))
        features = np.stack([np.cos(3 * mean), np.sin(3 * mean), colour], axis=1).astype(np.float32)
        return ImageAnswers(
            (power / power.sum(axis=1, keepdims=True)).astype(np.float32), power, features, (10 * colour).astype(np.float32)
        )


def flat(path: Path, value: int, shape: tuple[int, int] = (20, 24)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.full(shape, value, np.uint8)
    image[0, 0] = (value * 7) % 251  # no two are alike byte by byte
    cv2.imwrite(str(path), image)
    return path


def run_of(inputs, output, section: dict | None = None, *, classifier=None, **options):
    """A run without contact sheets."""
    recipe = parse_recipe({"report": {"overlay": False}, "classify": section or {}})
    return ms.classify(inputs, recipe, output, classifier=classifier or GreyClassifier(), **options)
