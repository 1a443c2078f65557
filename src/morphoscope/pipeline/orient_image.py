"""One image of wires told by all methods: directions, aligned fraction, order, and a row of the table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from morphoscope.calibration import Calibration
from morphoscope.errors import InputError
from morphoscope.measure.alignment import ORDER as ALIGNED
from morphoscope.measure.alignment import RADIUS_PX, Directions, Order, local_order, order_parameter
from morphoscope.measure.gradient_orientation import COHERENT, Windows, gradient_orientation
from morphoscope.measure.orientation import (
    Correlation,
    Histogram,
    coherence_length,
    fraction_interval,
    orientation_correlation,
    orientation_histogram,
)
from morphoscope.measure.structure_tensor import GRADIENT_PX, WINDOW_PX, edges, structure_tensor
from morphoscope.models.card import ModelCard
from morphoscope.models.preprocess import with_channels
from morphoscope.models.wire_maps import WireMaps
from morphoscope.pipeline.orient_doubts import DISAGREE, doubt_of, methods_disagree
from morphoscope.pipeline.square_pixels import resampled, square_shape
from morphoscope.pipeline.views import info_bar
from morphoscope.recipe import Recipe, Region

Image = NDArray[Any]
Float = NDArray[np.float32]
LEARNED, TENSOR, LGO = "learned", "structure tensor", "local gradient orientation"
SHORT = {TENSOR: "tensor", LGO: "lgo"}
BLOCKS = 4.0  # side of the blocks of the interval, in radii
MODEL_ERROR = "aligned_fraction"  # key of a card's `extent_error`
Z95 = 1.96


class WireFinder(Protocol):
    """What orienting needs of a model (`models.orient.Orienter`; tests use a plain one)."""

    @property
    def card(self) -> ModelCard:
        """The model's card."""
        ...

    def maps(self, image: Image, *, radius_px: float = RADIUS_PX) -> WireMaps:
        """See `models.orient.Orienter.maps`."""
        ...


class Told(NamedTuple):
    """What one method says of an image.

    Attributes:
        field: directions, of length 1 where there are wires (of windows: rows and columns, as long as they are coherent).
        weight: of each of them: probability of a wire, whether there is an edge, share of edges.
        aligned: share or probability, of each, of being coherently aligned.
        histogram: of directions.
        order: S2 and main direction.
    """

    field: Directions
    weight: Float
    aligned: Float
    histogram: Histogram
    order: Order


@dataclass(frozen=True)
class Oriented:
    """What orienting an image gave: its row (without file and frame), each method's fields, and the learned g(r).

    `region` is the part of the stored image that was looked at, without an info bar; `picture` and fields are of that part, in
    square pixels. Where there are hardly any wires, or none that is sure, the row has nan for what would be told of them, and so
    have histograms and correlation; `doubt` says why.
    """

    row: dict[str, Any]
    told: dict[str, Told]
    correlation: Correlation
    region: Region
    picture: Image


def orient_image(
    image: Image,
    finder: WireFinder,
    recipe: Recipe,
    calibration: Calibration,
    metadata: Mapping[str, Any] | None = None,
) -> Oriented:
    """Tell the directions of wires in an image (h, w) or (h, w, 3); colours become grey, pixels square ones of the same area.

    Args:
        image: as stored.
        finder: the model.
        recipe: the radius, the analysed region and what is left out of it.
        calibration: of this image.
        metadata: of the file's header.

    Raises:
        InputError: the region lies outside, or a radius in nm is wanted and there is no scale.
    """
    grey = with_channels(image, 1)[..., 0]
    region = _region(grey, recipe, metadata or {})
    seen = grey[region.y0 : region.y1, region.x0 : region.x1]
    square = square_shape(seen.shape, calibration)
    kept = resampled(_kept(seen.shape, region, recipe), square) >= 0.5
    seen = resampled(seen, square)
    radius = radius_px(recipe, calibration)
    told = {LEARNED: _learned(seen, finder, radius, kept)}
    if recipe.orient.compare:
        told |= {TENSOR: _by_tensor(seen, radius, kept), LGO: _by_gradients(seen, radius, kept)}
    correlation = orientation_correlation(told[LEARNED].field, told[LEARNED].weight)
    doubt, share = doubt_of(told[LEARNED].weight, kept), float(told[LEARNED].weight[kept].mean()) if kept.any() else 0.0
    of_wires: dict[str, float] = {
        **_learned_row(told[LEARNED], finder.card, correlation, radius),
        **{key: value for name in (TENSOR, LGO) if name in told for key, value in _other_row(told[name], SHORT[name]).items()},
    }
    if doubt:
        of_wires = dict.fromkeys(of_wires, math.nan)
        told = {name: one._replace(histogram=Histogram(*_unknown(*one.histogram))) for name, one in told.items()}
        correlation = Correlation(*_unknown(*correlation))
    row: dict[str, Any] = {
        **of_wires,
        "doubt": doubt or (DISAGREE if methods_disagree(of_wires, SHORT.values()) else ""),
        "wire_share": share,
        "aligned_share": share * of_wires["aligned_fraction"],
        "coherence_length_nm": of_wires["coherence_length_px"] * calibration.mean_pixel_nm,
        "radius_px": radius,
        "radius_nm": radius * calibration.mean_pixel_nm,
        "width_px": image.shape[1],
        "height_px": image.shape[0],
        "pixel_size_nm": calibration.mean_pixel_nm,
    }
    return Oriented(row, told, correlation, region, seen)


def radius_px(recipe: Recipe, calibration: Calibration) -> float:
    """The radius in px, where pixels are not square in those of the same area that are.

    Raises:
        InputError: it is asked for in nm, and there is no scale.
    """
    wanted = recipe.orient
    if wanted.radius_nm is not None:
        if not calibration.has_scale:
            raise InputError(
                f"a radius of {wanted.radius_nm:g} nm is asked for and no scale is known; state it (--scale), or the radius in px"
            )
        return wanted.radius_nm / calibration.mean_pixel_nm
    return wanted.radius_px or RADIUS_PX


def _region(image: Image, recipe: Recipe, metadata: Mapping[str, Any]) -> Region:
    height, width = image.shape
    bottom = info_bar(recipe, metadata, image)
    region = recipe.frames.region or Region(x0=0, y0=0, x1=width, y1=bottom or height)
    if region.x1 > width or region.y1 > height:
        raise InputError(f"frames.region reaches to x {region.x1}, y {region.y1}, the image has {width} x {height} px")
    return region


def _kept(shape: tuple[int, ...], region: Region, recipe: Recipe) -> NDArray[np.bool_]:
    """Which pixels of the region are not left out by the recipe."""
    kept = np.ones(shape, bool)
    for part in recipe.frames.exclude:
        top, left = max(part.y0 - region.y0, 0), max(part.x0 - region.x0, 0)
        kept[top : max(part.y1 - region.y0, 0), left : max(part.x1 - region.x0, 0)] = False
    return kept


def _unknown(at: NDArray[Any], values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    return at, np.full(len(values), np.nan)


def _learned(image: Image, finder: WireFinder, radius: float, kept: NDArray[np.bool_]) -> Told:
    maps = finder.maps(image, radius_px=radius)
    weight = maps.wire * kept
    field = _unit(maps.field)
    return Told(field, weight, maps.aligned, orientation_histogram(field, weight), order_parameter(field, weight))


def _by_tensor(image: Image, radius: float, kept: NDArray[np.bool_]) -> Told:
    size = radius / RADIUS_PX
    tensor = structure_tensor(image, sigma_px=max(GRADIENT_PX * size, 0.7), window_px=max(WINDOW_PX * size, 1.0))
    weight = (edges(tensor.strength) & kept).astype(np.float32)
    field = _unit(tensor.field)
    aligned = (local_order(field, weight, radius_px=radius) >= ALIGNED).astype(np.float32)
    return Told(field, weight, aligned, orientation_histogram(field, weight), order_parameter(field, weight))


def _by_gradients(image: Image, radius: float, kept: NDArray[np.bool_]) -> Told:
    sigma = max(GRADIENT_PX * radius / RADIUS_PX, 0.7)
    found: Windows = gradient_orientation(image, side_px=max(round(2 * radius), 4), sigma_px=sigma, kept=kept)
    aligned = (np.hypot(*found.field) >= COHERENT).astype(np.float32)
    counts = found.histogram.sum((0, 1)).astype(float)
    angle = (np.arange(len(counts)) + 0.5) * 180 / len(counts)
    share = counts / counts.sum() if counts.sum() > 0 else np.full(len(counts), np.nan)
    order = order_parameter(found.field, found.histogram.sum(2))
    return Told(found.field, found.share, aligned, Histogram(angle, share), order)


def _unit(field: Directions) -> Directions:
    length = np.maximum(np.hypot(*field), 1e-6)
    cos2, sin2 = (np.asarray(part / length, np.float32) for part in field)
    return Directions(cos2, sin2)


def _learned_row(told: Told, card: ModelCard, correlation: Correlation, radius: float) -> dict[str, float]:
    error = card.extent_error.get(MODEL_ERROR, 0.0) / Z95
    fraction = fraction_interval(told.aligned * told.weight, told.weight, block_px=BLOCKS * radius, model_sd=error)
    return {
        "aligned_fraction": fraction.value,
        "aligned_fraction_low": fraction.low,
        "aligned_fraction_high": fraction.high,
        "S2": told.order.s2,
        "director_deg": told.order.director_deg,
        "coherence_length_px": coherence_length(correlation, told.order.s2),
    }


def _other_row(told: Told, name: str) -> dict[str, float]:
    total = float(told.weight.sum())
    return {
        f"aligned_fraction_{name}": float((told.aligned * told.weight).sum()) / total if total > 0 else float("nan"),
        f"S2_{name}": told.order.s2,
        f"director_{name}_deg": told.order.director_deg,
    }
