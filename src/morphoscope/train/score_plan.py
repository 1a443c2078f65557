"""How labelled images are shown to a network of patches: what a patch covers, at which size, in which colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from morphoscope.errors import UsageError
from morphoscope.io.open import open_frames
from morphoscope.io.score_data import LEVELS, ScoreData
from morphoscope.models.preprocess import ROBUST_RGB, UNIT
from morphoscope.models.runtime import read_card
from morphoscope.recipe import Recipe
from morphoscope.train.cell_network import CELLS
from morphoscope.train.lite_patches import LITE, build_lite
from morphoscope.train.patch_networks import PatchNet, build_network
from morphoscope.train.score_pictures import Facts
from morphoscope.train.score_sampling import Change
from morphoscope.train.trained import Output, load_patch_network, score_outputs

OURS = "film"
OWN = (OURS, CELLS, LITE)  # the others are published, and see patches as published
ROADS = ("deepthin-road-50", "deepthin-road-27", "convnet", "crackcnn")
WIDEST_PX = 448  # of an image with one label that one patch covers, where the recipe is silent
WHOLE_PX = 64  # side of the input of our network where a patch covers much of an image
READY_PX = 96  # larger ready patches are learnt as images with a label each

LIGHT = {UNIT: (0.15, 0.05, 0.03), ROBUST_RGB: (0.15, 0.15, 0.15)}  # contrast, brightness and noise of `Change`


@dataclass(frozen=True)
class Plan:
    """`side` of the network's input and what it covers of the stored image, `seen_px`, both in px; the rest as on the card."""

    network: str
    outputs: int
    side: int
    seen_px: float
    channels: Literal[1, 3]
    preprocess: str
    change: Change
    pixel_size_nm: float | None = None
    start: Path | None = None
    about: tuple[Output, ...] = ()

    def build(self) -> PatchNet:
        """The network, with fresh weights or those of `start`."""
        if self.start:
            return load_patch_network(self.start, outputs=self.about)
        if self.network == LITE:
            robust = self.preprocess == ROBUST_RGB
            return build_lite(outputs=self.outputs, channels=self.channels, input_px=self.side, robust=robust)
        return build_network(self.network, outputs=self.outputs, channels=self.channels, input_px=self.side)


def make_plan(data: ScoreData, read: Sequence[Facts], recipe: Recipe, *, start: Path | None = None) -> Plan:
    """What suits the data, where the recipe is silent.

    A patch covers `score.patch_px` (or `patch_nm`); else a ready patch is itself, a patch of a marked image is as wide as the
    network's input, and one of images with a label each as wide as the shorter side of the smallest
    (up to `WIDEST_PX`); images of less than half the usual size do not count there.

    Raises:
        UsageError: a patch in nm of images without a common scale, or a patch too small for the network.
    """
    settings = recipe.train
    about = score_outputs(data.classes, LEVELS if data.answer == "ordinal" else 1)
    outputs = len(about)
    pixel = _pixel_size(read, recipe) if recipe.score.patch_nm else None
    wanted = recipe.score.patch_nm / pixel if recipe.score.patch_nm and pixel else recipe.score.patch_px
    sides = np.array([min(one.shape) for one in read])
    smallest = float(sides[sides >= np.median(sides) / 2].min())
    if start:
        card = read_card(start)
        network = load_patch_network(start, outputs=about)
        seen = wanted or (smallest if data.ready else min(card.seen_px or network.input_px, smallest))
        return Plan(
            network=network.name,
            outputs=outputs,
            side=network.input_px,
            seen_px=seen,
            channels=card.channels,
            preprocess=card.preprocess,
            change=_change(network.name, card.preprocess, data),
            pixel_size_nm=pixel,
            start=start,
            about=about,
        )
    name = settings.network or (OURS if data.marked or (data.ready and smallest <= READY_PX) else LITE)
    own = build_network(name, outputs=outputs)
    published = name not in OWN
    seen = wanted or (float(own.input_px) if data.marked else smallest if data.ready else min(smallest, WIDEST_PX))
    side = own.input_px if published and not data.ready else _side(name, data, seen, own.input_px)
    scaling, grey = _scaling(name, read), all(one.grey for one in read)
    one = own.channels == 1 and published or grey and (not published or data.ready)
    return Plan(name, outputs, side, seen, 1 if one else 3, scaling, _change(name, scaling, data), pixel)


def _side(name: str, data: ScoreData, seen: float, own: int) -> int:
    """Side of the input: as large as the patch, if that is small; of networks with coarse maps a multiple of their stride."""
    if name == CELLS:
        return int(np.clip(round(seen / 64) * 64, 64, own))
    if name == LITE:
        return int(np.clip(round(seen / 32) * 32, 64, own))
    if data.ready:
        return min(round(seen), READY_PX)
    return min(round(seen), WHOLE_PX) if not data.marked else min(round(seen), own)


def _scaling(network: str, read: Sequence[Facts]) -> str:
    """By the full range of 8 bits; else by each image's own spread, as cameras use part of the range of other dtypes.

    The published networks for roads see each image by its own spread: of asphalt, cracks differ by a tenth of the range or less.
    """
    if network in ROADS:
        return ROBUST_RGB
    return UNIT if network not in OWN or all(one.dtype == np.uint8 for one in read) else ROBUST_RGB


def _change(network: str, scaling: str, data: ScoreData) -> Change:
    """Published networks learn turned and mirrored patches only; ready patches keep their size."""
    if network not in OWN:
        return Change()
    contrast, brightness, noise = LIGHT[scaling]
    return Change(0.0 if data.ready else 0.1 if data.marked else 0.2, contrast, brightness, noise)


def _pixel_size(read: Sequence[Facts], recipe: Recipe) -> float:
    """nm per px of all images.

    Raises:
        UsageError: it is not known, or not the same for all.
    """
    found = set()
    for one in (facts.example for facts in read):
        if one.path is None:
            raise UsageError("ready patches have no scale: leave out score.patch_nm")
        with open_frames(one.path) as frames:
            calibration = recipe.calibrate(frames.calibration)
        if not calibration.has_scale:
            raise UsageError(
                f"score.patch_nm wants a scale, {one.name} states none; set calibration.pixel_size_nm, or score.patch_px"
            )
        found.add(float(f"{calibration.mean_pixel_nm:.4g}"))
    if len(found) > 1:
        sizes = ", ".join(f"{size:g}" for size in sorted(found)[:4])
        raise UsageError(f"score.patch_nm wants images of one scale to learn from, these have {sizes} nm per px")
    return found.pop()
