"""One image scored: its patches chosen by size and scale, its extents with their intervals, a row of the table of scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from morphoscope.calibration import Calibration
from morphoscope.errors import InputError
from morphoscope.measure.extents import block_interval
from morphoscope.models.card import ModelCard
from morphoscope.models.score_map import ScoreMap
from morphoscope.pipeline.image_parts import SAID
from morphoscope.pipeline.scale import Scale, settle_scale
from morphoscope.pipeline.score_error import as_trained, by_scale, trained_side
from morphoscope.pipeline.views import info_bar
from morphoscope.recipe import Recipe, Region

Image = NDArray[Any]
GREY, DIM = "grey", "dim"  # what is said of single images, and counted
DIM_SHARE = 0.25  # of the range of 16 bits, above which a picture uses it


class PatchScorer(Protocol):
    """What scoring needs of a model (`models.score.Scorer`; tests use a plain one)."""

    @property
    def card(self) -> ModelCard:
        """The model's card."""
        ...

    def scores(self, image: Image, *, patch_px: float | None = None, stride_px: float | None = None) -> ScoreMap:
        """See `models.score.Scorer.scores`."""
        ...


@dataclass(frozen=True)
class Scored:
    """What scoring an image gave: its row (without file and frame), and its maps."""

    row: dict[str, Any]
    maps: ScoreMap


def score_image(
    image: Image, scorer: PatchScorer, recipe: Recipe, scale: Scale, metadata: Mapping[str, Any] | None = None
) -> Scored:
    """Score an image (h, w) or (h, w, 3).

    Args:
        image: as stored.
        scorer: the model.
        recipe: patches, the analysed region and what is left out of it.
        scale: `scale_of`.
        metadata: of the file's header.

    Raises:
        InputError: it is smaller than a patch, its scale is wanted and unknown, or the region lies outside.
    """
    region = _region(image, recipe, metadata or {})
    seen = image[region.y0 : region.y1, region.x0 : region.x1]
    patch = patch_side(recipe, scorer.card, scale.calibration)
    found = scorer.scores(seen, patch_px=patch, stride_px=recipe.score.stride_px)
    found = _placed(found, region, recipe)
    height, width = image.shape[:2]
    known_patches = np.isfinite(found.values).all(0)
    row: dict[str, Any] = {
        **_extents(found, scorer.card, own=as_trained(scorer.card, found.patch_px, scale.calibration.mean_pixel_nm)),
        "patches": int(known_patches.sum()),
        "patch_px": float(found.patch_px),
        "width_px": width,
        "height_px": height,
        "pixel_size_nm": scale.calibration.mean_pixel_nm,
    }
    said = list(scale.warnings)
    if float(seen.min()) == float(seen.max()):
        said.append("the picture has one value only: leave it out if it shows nothing.")
    said += [one for one, holds in ((GREY, is_grey(seen)), (DIM, is_dim(seen))) if holds]
    return Scored({**row, SAID: said}, found)


def is_grey(image: Image) -> bool:
    """Whether it has no colours: a single channel, or all of them equal."""
    return image.ndim == 2 or bool((image[::7, ::7] == image[::7, ::7, :1]).all() and (image == image[..., :1]).all())


def is_dim(image: Image) -> bool:
    """Whether it uses a small part of 16 bits only, as images of 10 to 14 bits do that are stored so."""
    return image.dtype == np.uint16 and int(image.max()) <= DIM_SHARE * np.iinfo(np.uint16).max


def patch_side(recipe: Recipe, card: ModelCard, calibration: Calibration) -> float | None:
    """The side of a patch in px of the stored image; None: as the model was trained, in px.

    A size in nm, or the one in nm that the model was trained at, is taken by the image's own scale.

    Raises:
        InputError: a size in nm is asked for, and there is no scale.
    """
    wanted = recipe.score
    if wanted.patch_px is not None:
        return wanted.patch_px
    if wanted.patch_nm is not None:
        if not calibration.has_scale:
            raise InputError(
                f"a patch of {wanted.patch_nm:g} nm is asked for and no scale is known; state it (--scale), or the patch in px"
            )
        return wanted.patch_nm / calibration.mean_pixel_nm
    if by_scale(card) and calibration.has_scale:
        return trained_side(card, calibration.mean_pixel_nm)
    return None


def scale_of(image: Image, recipe: Recipe, known: Calibration, card: ModelCard, *, check: bool = True) -> Scale:
    """The scale of a file by its first image; what the recipe states wins over what is `known` from the file.

    A scale bar is read where the recipe asks for it. It is compared (`check`) in grey pictures, where nm decide on the patch.

    Raises:
        InputError: the scale was to come from a scale bar that is not there.
    """
    calibration, wanted = recipe.calibrate(known), recipe.calibration.scale_bar
    matters = recipe.score.patch_nm is not None or (by_scale(card) and recipe.score.patch_px is None)
    if wanted == "off" or (wanted == "check" and not (check and matters and image.ndim == 2)):
        return Scale(calibration)
    grey = image if image.ndim == 2 else image.mean(axis=2).astype(image.dtype)
    return settle_scale(calibration, grey, wanted)


def _region(image: Image, recipe: Recipe, metadata: Mapping[str, Any]) -> Region:
    height, width = image.shape[:2]
    bottom = info_bar(recipe, metadata, image) if image.ndim == 2 else None
    region = recipe.frames.region or Region(x0=0, y0=0, x1=width, y1=bottom or height)
    if region.x1 > width or region.y1 > height:
        raise InputError(f"frames.region reaches to x {region.x1}, y {region.y1}, the image has {width} x {height} px")
    return region


def _placed(found: ScoreMap, region: Region, recipe: Recipe) -> ScoreMap:
    """The map in px of the stored image, nan where a patch's centre lies in an excluded part."""
    x, y = found.x_px + region.x0, found.y_px + region.y0
    values = np.array(found.values, np.float32)
    at_y, at_x = (first + found.stride_px * np.arange(n) for first, n in zip((y, x), values.shape[1:], strict=True))
    for part in recipe.frames.exclude:
        inside = np.outer((at_y >= part.y0) & (at_y < part.y1), (at_x >= part.x0) & (at_x < part.x1))
        values[:, inside] = np.nan
    if not np.isfinite(values).any():
        raise InputError("the excluded parts leave no patch of the image")
    return replace(found, values=values, x_px=x, y_px=y)


def _extents(found: ScoreMap, card: ModelCard, *, own: bool) -> dict[str, Any]:
    """`S_<class>` with its interval for each class (the card's `own` error, else blocks), and the image's class."""
    means = np.asarray(np.nanmean(found.values, axis=(1, 2), dtype=np.float64))
    low, high = block_interval(found.values, side=max(1, round(found.patch_px / found.stride_px)))
    row: dict[str, Any] = {}
    for k, name in enumerate(found.classes):
        extent, error = float(means[k]), card.extent_error.get(name) if own else None
        ends = (float(low[k]), float(high[k])) if error is None else (max(extent - error, 0.0), min(extent + error, 1.0))
        row |= {f"S_{name}": extent, f"S_{name}_low": ends[0], f"S_{name}_high": ends[1]}
    if card.answer == "exclusive":
        row |= {"label": found.classes[int(means.argmax())], "probability": float(means.max())}
    return row
