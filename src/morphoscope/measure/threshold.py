"""Particles outlined without a model: a threshold of the grey levels, touching particles parted by a watershed.

Thresholds: Otsu, IEEE Trans. Syst. Man Cybern. 9 (1979) 62; of several classes Liao, Chen & Chung, J. Inf. Sci. Eng. 17 (2001)
713, here found exactly by dynamic programming. `local` is Otsu's of the picture less the Gaussian mean around each pixel;
`level` is a grey level that is given, the same for all pictures.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from morphoscope.errors import InputError, UsageError
from morphoscope.measure.polarity import bright_side
from morphoscope.measure.smooth import smoothed
from morphoscope.measure.watershed import connected, part_touching

Method = Literal["otsu", "multi-otsu", "local", "level"]
Polarity = Literal["auto", "bright", "dark"]
Grey = NDArray[np.float32]
Inside = NDArray[np.bool_]
Labels = NDArray[np.int32]

METHODS: tuple[Method, ...] = ("otsu", "multi-otsu", "local", "level")
BINS = 256
WINDOW_TO_SIGMA = 0.25  # a Gaussian window of this standard deviation weighs its surroundings


class ThresholdSettings(NamedTuple):
    """How particles are outlined; lengths in px.

    polarity: particles are the brighter or darker classes; auto: of two classes what `polarity.bright_side` finds, of more all
    but the ground, which is the class that makes up most of the picture's rim. The brightest class is never the ground of bright
    particles, nor the darkest that of dark ones.
    median_px: width of the square whose median replaces each pixel, odd, 0 for none. blur_px: standard deviation of the smoothing
    after it. window_px: width of the surroundings of `local`. levels: classes of `multi-otsu`. level: grey value of `level`, the
    highest of dark pixels after the smoothing. separate_px: least distance of two centres in touching particles, 0 for not
    parted, None: see `watershed.part_touching`. smallest_px: least area. holes_px: largest hole to be filled.
    """

    polarity: Polarity = "auto"
    median_px: int = 0
    blur_px: float = 1.0
    window_px: float = 101.0
    levels: int = 3
    level: float | None = None
    separate_px: float | None = None
    smallest_px: int = 50
    holes_px: int = 200


def threshold_labels(image: NDArray[Any], method: Method = "otsu", settings: ThresholdSettings | None = None) -> Labels:
    """Particles of a picture as a label image.

    Args:
        image: (h, w), grey, any real dtype.
        method: `otsu`, `multi-otsu`, `local` or `level`.
        settings: None for the defaults.

    Returns:
        (h, w): 0 for the background, particles 1, 2, ... in the order of their first pixels, row by row.

    Raises:
        InputError: not a grey picture, or pixels that are not finite.
        UsageError: another method, `level` without a level, or a `median_px` that is neither odd nor 0.
    """
    chosen = settings or ThresholdSettings()
    inside = foreground(image, method, chosen)
    return part_touching(cleaned(inside, chosen.smallest_px, chosen.holes_px), chosen.separate_px, chosen.smallest_px)


def foreground(image: NDArray[Any], method: Method, settings: ThresholdSettings) -> Inside:
    """Which pixels (h, w) a threshold takes for particles; none without contrast but for `level`. Errors: `threshold_labels`."""
    classes = _classes(image, method, settings)
    if classes is None:
        return np.zeros(image.shape, bool)
    highest = settings.levels - 1 if method == "multi-otsu" else 1
    if settings.polarity == "auto" and highest == 1:
        bright = classes == 1
        return np.asarray(bright if bright_side(bright, settings.smallest_px, settings.separate_px) > 0 else ~bright)
    rim = np.concatenate([classes[0], classes[-1], classes[1:-1, 0], classes[1:-1, -1]])
    ground = int(np.bincount(rim).argmax())
    taken = {
        "bright": classes > min(ground, highest - 1),
        "dark": classes < max(ground, 1),
        "auto": classes != ground,
    }[settings.polarity]
    return np.asarray(taken)


def particles_side(image: NDArray[Any], method: Method, settings: ThresholdSettings) -> float | None:
    """`polarity.bright_side` of a picture (h, w); None where nothing is to be chosen. Errors: `threshold_labels`."""
    if settings.polarity != "auto" or (method == "multi-otsu" and settings.levels > 2):
        return None
    classes = _classes(image, method, settings)
    return None if classes is None else bright_side(classes == 1, settings.smallest_px, settings.separate_px)


def _classes(image: NDArray[Any], method: Method, settings: ThresholdSettings) -> NDArray[np.uint8] | None:
    """The class (h, w) of each pixel, 0 the darkest; None without contrast."""
    check_settings(method, settings)
    _check_image(image)
    calm = _median(image, settings.median_px)
    mean = float(calm.mean(dtype=np.float64))
    grey = smoothed(_less(calm, mean), settings.blur_px)
    if method == "local":
        grey = grey - smoothed(grey, settings.window_px * WINDOW_TO_SIGMA)
    if method != "level" and not grey.max() > grey.min():
        return None
    if method == "level" and settings.level is not None:
        return (grey > _less(np.array(settings.level), mean)).astype(np.uint8)
    return _otsu_classes(grey, settings.levels if method == "multi-otsu" else 2)


def check_settings(method: Method, settings: ThresholdSettings) -> None:
    """Make sure that a threshold can work with these settings.

    Raises:
        UsageError: as `threshold_labels` says.
    """
    if method not in METHODS:
        raise UsageError(f"the thresholds are {', '.join(METHODS)}; got {method!r}")
    if method == "level" and settings.level is None:
        raise UsageError("`level` wants the grey value that parts particles from ground: set segment.level, such as 19.0")
    if settings.median_px and settings.median_px % 2 == 0:
        raise UsageError(f"a median is taken over an odd number of px, or over none (0); got median_px = {settings.median_px}")


def _check_image(image: NDArray[Any]) -> None:
    if image.ndim != 2 or 0 in image.shape or image.dtype.kind not in "biuf":
        raise InputError(f"wanted a grey picture (h, w), got an array of shape {image.shape} of {image.dtype}; choose a channel")
    if image.dtype.kind == "f" and not np.isfinite(image).all():
        raise InputError("the picture holds pixels that are not numbers; fill them first")


def _otsu_classes(grey: Grey, classes: int) -> NDArray[np.uint8]:
    """The class (h, w) of each pixel, 0 the darkest, of a picture that has more than one grey value."""
    low, high = float(grey.min()), float(grey.max())
    bins = np.minimum((grey - low) * np.float32(BINS / (high - low)), BINS - 1).astype(np.uint8)
    cuts = otsu_cuts(np.bincount(bins.ravel(), minlength=BINS), classes)
    return np.asarray(np.searchsorted(cuts, np.arange(BINS), side="left").astype(np.uint8)[bins])


def _median(image: NDArray[Any], width: int) -> NDArray[Any]:
    """The median of the square of `width` px about each pixel, the picture's rim repeated beyond it; 0 or 1: the picture."""
    if width < 2:
        return image
    if image.dtype == np.uint8 or (image.dtype.name in ("uint16", "int16", "float32") and width <= 5):
        return np.asarray(cv2.medianBlur(image, width))
    return np.asarray(median_filter(image, width, mode="nearest"))


def _less(image: NDArray[Any], mean: float) -> Grey:
    """The picture less its mean, where float32 keeps small differences of large numbers."""
    return np.asarray(image - np.float64(mean), np.float32)


def otsu_cuts(counts: NDArray[Any], classes: int = 2) -> NDArray[np.int64]:
    """The last bin of each class but the highest, such that the variance between classes is largest.

    Args:
        counts: (n,) histogram.
        classes: 2 or more.

    Returns:
        (classes - 1,) ascending; among equals the lowest.
    """
    count = np.concatenate([[0.0], np.cumsum(counts, dtype=float)])
    total = np.concatenate([[0.0], np.cumsum(counts * np.arange(len(counts)), dtype=float)])
    weight = count[None, :] - count[:, None]  # of a class from bin i up to bin j - 1
    gain = np.divide((total[None, :] - total[:, None]) ** 2, weight, out=np.zeros_like(weight), where=weight > 0)
    gain[np.tril_indices(len(count))] = -np.inf  # a class holds a bin at least
    best, before = gain[0], []
    for _ in range(classes - 1):
        through = best[:, None] + gain
        before.append(through.argmax(axis=0))
        best = through.max(axis=0)
    end, cuts = len(counts), []
    for places in reversed(before):
        end = int(places[end])
        cuts.append(end - 1)
    return np.array(cuts[::-1], np.int64)


def cleaned(inside: Inside, smallest_px: int, holes_px: int) -> Inside:
    """Foreground (h, w) without parts (8 neighbours) below `smallest_px`, its holes (4 neighbours) of up to `holes_px` filled."""
    parts, area = connected(inside, 8)
    kept = area >= smallest_px
    kept[0] = False
    solid = kept[parts]
    if holes_px == 0:
        return np.asarray(solid)
    gaps, size = connected(~solid, 4)
    filled = size <= holes_px
    filled[np.unique(np.concatenate([gaps[0], gaps[-1], gaps[:, 0], gaps[:, -1]]))] = False
    filled[0] = True
    return np.asarray(filled[gaps])
