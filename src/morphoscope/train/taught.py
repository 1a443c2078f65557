"""`train score BOXES --from M.onnx`, M a model of good images: what lies in boxes becomes a defect of its own in the map."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from morphoscope.errors import InputError, UsageError
from morphoscope.io.colour import read_colour
from morphoscope.io.labels import read_boxes
from morphoscope.models.card import DataSource, ModelCard
from morphoscope.models.patches import PatchImage
from morphoscope.models.preprocess import UNIT
from morphoscope.models.runtime import read_card
from morphoscope.recipe import Recipe
from morphoscope.train.anomaly import ANOMALY, BANK, Array, cells_of, far_from
from morphoscope.train.coreset import coreset
from morphoscope.train.export import export_neighbours
from morphoscope.train.neighbour_network import CELL, NeighbourNet
from morphoscope.train.trained import load_neighbour_network

OUTSTANDING = 0.5  # of the farthest cell of a box: cells of it that lie less far from good ones are good film beside the defect


def teach_defects(data: Path, output: Path, recipe: Recipe, *, start: Path) -> ModelCard:
    """Add what lies in labelled boxes to a model of good images and write it to one .onnx file.

    Each label is a defect with a map of its own. Of the cells in a box those are taken that lie far from good ones, since a box
    holds good film in its corners, too. A label that the model knows already gains features. Nothing is held out, and what good
    images scored before holds no more where a box raises the map of anomalies: the card has no metrics.

    Args:
        data: boxes in any format of `io.labels.read_boxes`.
        output: the .onnx file.
        recipe: settings; licence and citation of the boxes' images.
        start: the model of good images.

    Raises:
        InputError: no boxes, or one that lies outside its image.
        UsageError: a label that is called `anomaly`.
        ModelError: the model is of another kind.
    """
    card, network = read_card(start), load_neighbour_network(start)
    found = _in_boxes(data, network, zoom=CELL / (card.seen_px or CELL))
    names = (*card.classes[1:], *(name for name in found if name not in card.classes))
    old = dict(zip(card.classes[1:], network.banks[1:], strict=True))
    banks = [network.banks[0]]
    for name in names:
        known = [old[name].numpy()] if name in old else []
        every = np.concatenate([*known, *found.get(name, [])])
        banks.append(torch.from_numpy(every[coreset(every, BANK, seed=recipe.train.seed)]))
    taught = NeighbourNet(network.features, banks, float(network.reach), steepness=float(network.steepness))
    learnt = DataSource(name=data.stem, licence=recipe.train.licence, citation=recipe.train.citation)
    changes = {"name": output.stem, "classes": (ANOMALY, *names), "thresholds": (0.5,) * (1 + len(names)), "metrics": {}}
    written = card.model_copy(update={**changes, "data": (*card.data, learnt)})
    export_neighbours(taught, written, output)
    return written


def _in_boxes(data: Path, network: NeighbourNet, *, zoom: float) -> dict[str, list[Array]]:
    """For each label the features (m, d) of the cells in each of its boxes."""
    labelled, features, good = read_boxes(data), network.features, network.banks[0].numpy()
    if labelled.boxes.empty:
        raise InputError(f"{data} holds no boxes; draw one around a defect that the map missed")
    if (labelled.boxes["label"] == ANOMALY).any():
        raise UsageError(f"a box needs the name of a defect; {ANOMALY!r} is what the map of all of them is called")
    found: dict[str, list[Array]] = {}
    for file, boxes in labelled.boxes.groupby("file", sort=False):
        stored = read_colour(labelled.images[str(file)])
        image = PatchImage(stored, channels=features.channels, preprocess=UNIT, zoom=zoom)
        cells = cells_of(features, image)
        for row in boxes.itertuples():
            inside = _cells_in(np.array([row.x0, row.y0, row.x1, row.y1]), cells.shape[:2], zoom)
            if inside is None:
                raise InputError(f"a box of {row.label!r} in {file} lies outside the image")
            part = cells[inside].reshape(-1, cells.shape[2])
            far = far_from(part, good)
            found.setdefault(str(row.label), []).append(part[far >= OUTSTANDING * far.max()])
    return found


def _cells_in(box: NDArray[np.float64], shape: tuple[int, ...], zoom: float) -> tuple[slice, slice] | None:
    """The cells whose centre lies in a box (x0, y0, x1, y1 in px, pixel centres at integers), or the one its centre lies in."""
    x0, y0, x1, y1 = (box + 0.5) * zoom / CELL
    spans = []
    for low, high, count in ((y0, y1, shape[0]), (x0, x1, shape[1])):
        first, end = max(int(np.ceil(low - 0.5)), 0), min(int(np.floor(high - 0.5)) + 1, count)
        if high <= 0 or low >= count:
            return None
        middle = int(np.clip((low + high) / 2, 0, count - 1))
        spans.append(slice(first, end) if end > first else slice(middle, middle + 1))
    return spans[0], spans[1]
