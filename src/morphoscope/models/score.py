"""Scoring: images in, for each class a map of how much of it there is, patch by patch."""

from __future__ import annotations

from math import gcd
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from morphoscope.errors import InputError, ModelError, UsageError
from morphoscope.models.card import ModelCard, resolve_model
from morphoscope.models.neighbours import NEIGHBOURS, gathered, over_tiles
from morphoscope.models.patches import PatchGrid, PatchImage, patch_grid
from morphoscope.models.runtime import Provider, Session, load_session
from morphoscope.models.score_map import ScoreMap, outputs_of, read_logits

SCORES = "scores-1"
CELLS = "cells-1"  # logits of cells `stride` px apart, each told with what lies around it
CELLS_TILE, CELLS_MARGIN, CELLS_ALIGN = 2048, 384, 64  # px, see `over_tiles`; a cell is told by 378 px to each side at most
TILE = 512  # px of the resized image that a dense pass sees at once
BATCH = 32  # patches at once
DENSE_COST = 1.6  # what a px of a dense pass costs in px of patches: its dense layers answer at every step


class Scorer:
    """A model that scores patches, ready to run.

    Args:
        session: the loaded model.
        path: its file.
        tile: larger images are cut into tiles of this many px in a dense pass.
        batch: patches that are given to the network at once otherwise.

    Raises:
        ModelError: the model is for another task, or made by a later version.
    """

    def __init__(self, session: Session, path: Path | None = None, *, tile: int = TILE, batch: int = BATCH) -> None:
        card = session.card
        if card.task != "score":
            raise ModelError(f"wanted a model for the task 'score', {card.name} is for {card.task!r}")
        if card.postprocess not in (SCORES, CELLS, NEIGHBOURS) or card.patch_px is None or card.answer is None:
            raise ModelError(
                f"{card.name} needs {card.postprocess!r}, this version knows {SCORES!r}, {CELLS!r} and {NEIGHBOURS!r} with "
                "patch_px and answer on the card; update morphoscope"
            )
        self.card: ModelCard = card
        self.path = path
        self._session, self._side, self._tile, self._batch = session, card.patch_px, tile, batch

    def scores(self, image: NDArray[Any], *, patch_px: float | None = None, stride_px: float | None = None) -> ScoreMap:
        """The scores of an image's patches.

        Strides are rounded to whole px of the image as the network sees it. Small ones are answered by passes over the whole
        image, large ones by batches of patches; the values are the same but for rounding (1e-4). Where the network answers cell
        by cell, strides are rounded to whole cells, and one pass over the image answers all of them.

        Args:
            image: (h, w), or (h, w, 3) in the order red, green, blue, of any real dtype.
            patch_px: side in px of the image that a patch covers; None: as the model was trained.
            stride_px: px of the image from patch to patch; None: `patch_px`.

        Raises:
            InputError: the image is smaller than a patch, or holds values that the model has no place for.
            UsageError: a patch or stride that is not positive.
        """
        seen = patch_px or self.card.seen_px or float(self._side)
        step = stride_px or seen
        if min(seen, step) <= 0:
            raise UsageError(f"wanted a patch and a stride of more than 0 px, got {seen:g} and {step:g} px")
        zoom = self._side / seen
        if self.card.postprocess in (CELLS, NEIGHBOURS):
            return self._gathered(image, seen, step)
        prepared = PatchImage(image, channels=self.card.channels, preprocess=self.card.preprocess, zoom=zoom)
        try:
            grid = patch_grid(prepared.shape, self._side, max(round(step * zoom), 1))
        except InputError as error:
            raise _too_small(image, seen) from error
        logits = self._in_passes(prepared, grid) if self._dense_pays(prepared.shape, grid) else self._in_batches(prepared, grid)
        x, y = ((first + self._side / 2) / zoom - 0.5 for first in (grid.x, grid.y))
        return ScoreMap(read_logits(logits[None], self.card)[0], x, y, grid.stride / zoom, seen, self.card.classes)

    def patches(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        """Scores (n, k) of patches (n, s, s) or (n, s, s, 3); each is scaled by itself, and resized to what the network sees."""
        side = batch.shape[1] if batch.ndim in (3, 4) else 0
        if batch.ndim not in (3, 4) or batch.shape[2] != side:
            raise InputError(f"wanted patches (n, s, s) or (n, s, s, 3), got an array of shape {batch.shape}")
        if self.card.postprocess == NEIGHBOURS:
            return np.stack([self.scores(one).values.mean(axis=(1, 2)) for one in batch])
        card, out = self.card, np.empty((len(batch), len(self.card.classes)), np.float32)
        for first in range(0, len(batch), self._batch):
            zoom = self._side / side
            seen = [
                PatchImage(one, channels=card.channels, preprocess=card.preprocess, zoom=zoom).read()
                for one in batch[first : first + self._batch]
            ]
            out[first : first + len(seen)] = read_logits(self._session.run(np.stack(seen))[0], card).mean(axis=(2, 3))
        return out

    def _gathered(self, image: NDArray[Any], seen: float, step: float) -> ScoreMap:
        """The means of a map of cells over patches of `seen` px of the image, `step` px apart, both rounded to whole cells."""
        step_of_cells, cells = self.card.stride, self.card.postprocess == CELLS
        cell = (seen if cells else self.card.seen_px or self._side) / self._side * step_of_cells  # px of the image
        prepared = PatchImage(image, channels=self.card.channels, preprocess=self.card.preprocess, zoom=step_of_cells / cell)
        if min(image.shape[:2]) < seen:
            raise _too_small(image, seen)
        tiling = {"tile": CELLS_TILE, "margin": CELLS_MARGIN, "align": CELLS_ALIGN} if cells else {}
        logits = over_tiles(prepared, lambda batch: self._session.run(batch)[0][0], cell=step_of_cells, **tiling)
        side, stride = (max(round(px / cell), 1) for px in (seen, step))
        values, y, x = gathered(read_logits(logits[None], self.card)[0], side=side, stride=stride)
        first_x, first_y = ((first + side / 2) * cell - 0.5 for first in (x, y))
        return ScoreMap(values, first_x, first_y, stride * cell, side * cell, self.card.classes)

    def _dense_pays(self, shape: tuple[int, int], grid: PatchGrid) -> bool:
        passes = (self.card.stride // gcd(self.card.stride, grid.stride)) ** 2
        area = ((grid.rows - 1) * grid.stride + grid.side) * ((grid.columns - 1) * grid.stride + grid.side)
        return self.card.dense and DENSE_COST * passes * area < grid.rows * grid.columns * grid.side**2

    def _in_batches(self, image: PatchImage, grid: PatchGrid) -> NDArray[np.float32]:
        """Logits (outputs, rows, columns), patch by patch."""
        corners = grid.corners
        out = np.empty((outputs_of(self.card), len(corners)), np.float32)
        for first in range(0, len(corners), self._batch):
            some = corners[first : first + self._batch]
            batch = np.stack([image.read(y, x, grid.side, grid.side) for y, x in some])
            out[:, first : first + len(some)] = self._session.run(batch)[0][:, :, 0, 0].T
        return out.reshape(-1, grid.rows, grid.columns)

    def _in_passes(self, image: PatchImage, grid: PatchGrid) -> NDArray[np.float32]:
        """The same from dense passes: one where the stride is a multiple of the network's, else several, each shifted."""
        out = np.empty((outputs_of(self.card), grid.rows, grid.columns), np.float32)
        shifts = self.card.stride // gcd(self.card.stride, grid.stride)
        step = shifts * grid.stride  # px between the patches that one pass answers, a multiple of the network's stride
        for top in range(min(shifts, grid.rows)):
            for left in range(min(shifts, grid.columns)):
                part = out[:, top::shifts, left::shifts]
                self._one_pass(image, part, (grid.y + top * grid.stride, grid.x + left * grid.stride), step)
        return out

    def _one_pass(self, image: PatchImage, out: NDArray[np.float32], first: tuple[int, int], step: int) -> None:
        """Fill `out` (outputs, rows, columns) with the logits of the patches from `first` (y, x) on, `step` px apart."""
        rows, columns = out.shape[1:]
        fit = max((self._tile - self._side) // step + 1, 1)  # patches along the side of a tile
        height, width = (min(fit, n) for n in (rows, columns))
        tall, wide = (self._side + (n - 1) * step for n in (height, width))
        for row in _starts(rows, height):
            for column in _starts(columns, width):
                seen = image.read(first[0] + row * step, first[1] + column * step, tall, wide)
                every = step // self.card.stride
                answer = self._session.run(seen[None])[0][0, :, ::every, ::every]
                out[:, row : row + height, column : column + width] = answer


def _too_small(image: NDArray[Any], patch_px: float) -> InputError:
    return InputError(
        f"wanted an image at least as large as a patch of {patch_px:g} px, got {image.shape[1]} x {image.shape[0]} px; "
        "give a smaller patch"
    )


def _starts(count: int, size: int) -> list[int]:
    """First of each of the parts of one size that cover `count`; the last ones may overlap."""
    return [min(k, count - size) for k in range(0, count, size)]


def load_scorer(model: str | Path, *, threads: int | None = None, provider: Provider = "cpu", precision: str = "fp32") -> Scorer:
    """A scorer from a shipped model's name or an .onnx file.

    Raises:
        ModelError: no such model, no card, another task, or made by a later version.
    """
    path = resolve_model(model)
    return Scorer(load_session(path, threads=threads, provider=provider, precision=precision), path)
