"""Segmentation: images in, label images and class maps out."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from morphoscope.errors import InputError, ModelError
from morphoscope.measure.half_level import at_half_level
from morphoscope.models.card import ModelCard, resolve_model
from morphoscope.models.class_maps import CLASSES, class_map, parts
from morphoscope.models.instances import CHANNELS, INSTANCES, enlarge, labels_from_maps
from morphoscope.models.preprocess import ROBUST, robust_scale
from morphoscope.models.runtime import Provider, Session, load_session
from morphoscope.models.tiling import tiles
from morphoscope.models.zoom import best_zoom, windows

TILE = {1: 2048, 2: 3072}  # px of the resized image, by the card's `cell`: maps as fine as the image take more memory
MARGIN = 480  # px of the resized image, more than the network sees to one side
REACH_PX = 3.0  # px of the resized image that an outline is moved at most, and no less than 1.5 px of the image
MIRRORS = (np.s_[:, :], np.s_[:, ::-1], np.s_[::-1, :], np.s_[::-1, ::-1])  # the image, left-right, up-down, both


class Segmenter:
    """A segmentation model, ready to run; of two kinds.

    Models with post-processing `instances-1` tell touching particles apart. Those with `classes-1` name the class of each pixel;
    their objects are the connected parts of a class. `named` serves both: label images with the class of each label.

    Args:
        session: the loaded model.
        path: its file.
        tile: larger images are cut into tiles of this many px (of the resized image, a multiple of the stride); None: `TILE`.
        margin: px that tiles overlap to each side. What the network sees to one side of a pixel, or more, makes the result
            the same whatever the tile.
    """

    def __init__(self, session: Session, path: Path | None = None, *, tile: int | None = None, margin: int = MARGIN) -> None:
        card = session.card
        if card.task != "segment":
            raise ModelError(f"wanted a model for the task 'segment', {card.name} is for {card.task!r}")
        if card.postprocess not in (INSTANCES, CLASSES) or card.preprocess != ROBUST:
            raise ModelError(
                f"{card.name} needs {card.preprocess!r} and {card.postprocess!r}, this version knows {ROBUST!r} and "
                f"{INSTANCES!r} or {CLASSES!r}; update morphoscope"
            )
        self.card: ModelCard = card
        self.path = path
        self._session, self._tile, self._margin = session, tile or TILE[card.cell], margin
        self._channels = 1 + len(card.classes) if card.postprocess == CLASSES else len(CHANNELS)
        self.zooms: tuple[float, ...] = card.zooms or (card.zoom,)
        self.outline: str = card.outline

    @property
    def semantic(self) -> bool:
        """The model names the class of each pixel; else it tells particles apart."""
        return self.card.postprocess == CLASSES

    def segment(
        self, images: NDArray[Any] | Sequence[NDArray[Any]], *, threshold: float | None = None
    ) -> list[NDArray[np.int32]]:
        """A label image (h, w) for each image: 0 is background, objects are 1, 2, ...

        Args:
            images: grey images (h, w) of any shapes and any real dtype.
            threshold: least core value of a seed, or least probability of anything but background; None for the card's.

        Raises:
            InputError: an image is not (h, w) or holds values that are not finite.
        """
        return [labels for labels, _ in self.named(images, threshold=threshold)]

    def named(
        self, images: NDArray[Any] | Sequence[NDArray[Any]], *, threshold: float | None = None
    ) -> list[tuple[NDArray[np.int32], tuple[str, ...]]]:
        """For each image its label image (h, w) and the class of its labels 1, 2, ..., n; see `segment`."""
        lowest = self.card.threshold if threshold is None else threshold
        zooms = [self.zoom_of(image) for image in images]
        return [
            self.read(self.maps(image, zoom), image, zoom=zoom, threshold=lowest)
            for image, zoom in zip(images, zooms, strict=True)
        ]

    def zoom_of(self, *images: NDArray[Any]) -> float:
        """The magnification that suits an image (h, w), or several of one kind, best, of those on the card; see `models.zoom`."""
        if len(self.zooms) == 1:
            return self.zooms[0]
        for image in images:
            _check(image)

        def seen(zoom: float) -> list[NDArray[np.float32]]:
            return [self.maps(image[part], zoom) for image in images for part in windows((image.shape[0], image.shape[1]), zoom)]

        return best_zoom({zoom: seen(zoom) for zoom in self.zooms})

    def at(self, zoom: float | None = None, *, outline: str | None = None) -> Segmenter:
        """The same model at one magnification for all images, or with another `outline` than its card's.

        The frames of a video should not differ in magnification.
        """
        fixed = copy.copy(self)
        fixed.zooms = self.zooms if zoom is None else (zoom,)
        fixed.outline = outline or self.outline
        return fixed

    def class_maps(
        self, images: NDArray[Any] | Sequence[NDArray[Any]], *, threshold: float | None = None
    ) -> list[NDArray[np.uint8]]:
        """The class (h, w) of each pixel of each image: 0 is background, the card's classes are 1, 2, ...; see `segment`."""
        lowest = self.card.threshold if threshold is None else threshold
        if self.semantic:
            return [class_map(self.maps(image), (image.shape[0], image.shape[1]), lowest) for image in images]
        return [(labels > 0).astype(np.uint8) for labels in self.segment(images, threshold=threshold)]

    def read(
        self, maps: NDArray[np.float32], image: NDArray[Any], *, zoom: float, threshold: float
    ) -> tuple[NDArray[np.int32], tuple[str, ...]]:
        """Label image of an image (h, w) and the class of its labels, from the image's `maps` at a magnification."""
        shape = (image.shape[0], image.shape[1])
        if self.semantic:
            labels, classes = parts(class_map(maps, shape, threshold))
            return labels, tuple(self.card.classes[k - 1] for k in classes)
        labels = enlarge(labels_from_maps(maps, threshold), maps[0], shape)
        if self.outline == "half level":
            labels = at_half_level(image, labels, reach_px=max(REACH_PX / zoom, 1.5))
        return labels, self.card.classes[:1] * int(labels.max(initial=0))

    def maps(self, image: NDArray[Any], zoom: float | None = None) -> NDArray[np.float32]:
        """The network's maps (k, h', w') of an image (h, w) magnified by `zoom` (None: by what suits it).

        They are as large as the magnified image, or half as large: by the card's `cell`. See `models.instances` and
        `models.class_maps`; errors as in `segment`.
        """
        _check(image)
        scaled = robust_scale(_resized(image, zoom or self.zoom_of(image), self.card.cell))
        out = self._one_view(scaled)
        for mirror in MIRRORS[1 : self.card.views]:
            out += self._one_view(np.ascontiguousarray(scaled[mirror]))[:, *mirror]
        out /= self.card.views
        return out

    def _one_view(self, scaled: NDArray[np.float32]) -> NDArray[np.float32]:
        """The maps of an image (h, w) as the network sees it, in tiles."""
        height, width = scaled.shape
        cell = self.card.cell
        padded = np.pad(scaled, ((0, -height % self.card.stride), (0, -width % self.card.stride)), mode="symmetric")
        out = np.empty((self._channels, padded.shape[0] // cell, padded.shape[1] // cell), np.float32)
        for tile in tiles(*padded.shape, size=self._tile, margin=self._margin, align=self.card.stride):
            x0, y0, x1, y1 = tile.outer
            (answer,) = self._session.run(np.ascontiguousarray(padded[None, None, y0:y1, x0:x1]))
            left, top = max(tile.inner[0], 0), max(tile.inner[1], 0)
            right, bottom = min(tile.inner[2], padded.shape[1]), min(tile.inner[3], padded.shape[0])
            own = answer[0, :, (top - y0) // cell : (bottom - y0) // cell, (left - x0) // cell : (right - x0) // cell]
            out[:, top // cell : bottom // cell, left // cell : right // cell] = own
        return out[:, : height // cell, : width // cell]


def _check(image: NDArray[Any]) -> None:
    if image.ndim != 2 or 0 in image.shape:
        raise InputError(f"wanted a grey image (h, w), got an array of shape {image.shape}")
    if not np.isfinite(image).all():
        raise InputError("wanted finite grey values, the image holds nan or infinity; set them to the background first")


def _resized(image: NDArray[Any], zoom: float, cell: int) -> NDArray[np.float32]:
    """The image `zoom` times as large, its sides multiples of `cell` px."""
    height, width = (max(round(n * zoom / cell), 1) * cell for n in image.shape)
    how = cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image.astype(np.float32), (width, height), interpolation=how), np.float32)


def load_segmenter(
    model: str | Path, *, threads: int | None = None, provider: Provider = "cpu", precision: str = "fp32"
) -> Segmenter:
    """A segmenter from a shipped model's name or an .onnx file.

    Raises:
        ModelError: no such model, no card, another task, or made by a later version.
    """
    path = resolve_model(model)
    return Segmenter(load_session(path, threads=threads, provider=provider, precision=precision), path)
