"""Classifying whole images: images in, a calibrated probability of each class and how foreign each image is out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from morphoscope.errors import ModelError
from morphoscope.models.card import ModelCard, resolve_model
from morphoscope.models.image_view import STANDARD, standard_view
from morphoscope.models.runtime import Provider, Session, load_session

CLASSES = "classes-of-image-1"
Array = NDArray[np.float32]


@dataclass(frozen=True)
class ImageAnswers:
    """What a classifier says of n images.

    `probability` (n, k) of each class, calibrated, each row adding up to 1; `logits` (n, k) before calibration; `features`
    (n, d), each stage's on one scale; `foreign` (n,): the distance of the features to those of the most similar image learnt, as
    a share of `foreign_threshold` on the card: above 1 an image is like none of them.
    """

    probability: Array
    logits: Array
    features: Array
    foreign: Array


class Classifier:
    """A model that classifies whole images, ready to run.

    Args:
        session: the loaded model.
        path: its file.

    Raises:
        ModelError: the model is for another task, or made by a later version.
    """

    def __init__(self, session: Session, path: Path | None = None) -> None:
        card = session.card
        if card.task != "classify":
            raise ModelError(f"wanted a model for the task 'classify', {card.name} is for {card.task!r}")
        if card.postprocess != CLASSES or card.preprocess != STANDARD or card.view_px is None:
            raise ModelError(
                f"{card.name} needs {card.preprocess!r} and {card.postprocess!r}, this version knows {STANDARD!r} and "
                f"{CLASSES!r}, with view_px on the card; update morphoscope"
            )
        self.card: ModelCard = card
        self.path = path
        self._session, self._view = session, card.view_px

    def prepare(self, image: NDArray[Any]) -> Array:
        """An image (h, w) or (h, w, 3) of any real dtype as the network sees it: (3, h', w'). Threads may call it at once.

        Raises:
            InputError: another shape, too small, or values that are not finite.
        """
        return standard_view(image, view_px=self._view)

    def answers(self, prepared: Sequence[Array]) -> ImageAnswers:
        """What is said of prepared images, which may differ in size; each answer depends on its own image only."""
        found = [self._session.run(one[None]) for one in prepared]
        if not found:
            nothing = np.zeros((0, len(self.card.classes)), np.float32)
            return ImageAnswers(nothing, nothing, np.zeros((0, 0), np.float32), np.zeros(0, np.float32))
        logits, features, foreign = (np.concatenate([one[k] for one in found]) for k in range(3))
        far = np.asarray(foreign / np.float32(self.card.foreign_threshold), np.float32)
        return ImageAnswers(probabilities(logits, temperature=self.card.temperature), logits, features, far)


def probabilities(logits: Array, *, temperature: float = 1.0) -> Array:
    """Probabilities (n, k) of classes that exclude each other from logits (n, k) divided by a temperature."""
    scaled = logits / np.float32(temperature)
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)


def load_classifier(
    model: str | Path, *, threads: int | None = None, provider: Provider = "cpu", precision: str = "fp32"
) -> Classifier:
    """A classifier from a shipped model's name or an .onnx file.

    Raises:
        ModelError: no such model, no card, another task, or made by a later version.
    """
    path = resolve_model(model)
    return Classifier(load_session(path, threads=threads, provider=provider, precision=precision), path)
