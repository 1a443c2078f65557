"""How far a picture is magnified before the network sees it: so that the particles it finds look as it says they do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from morphoscope.models.instances import Labels, Maps, depth_below_edge, labels_from_maps, probability

ZOOMS = (0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8)
SEED = (
    0.6  # least core value of a seed, see `labels_from_maps`; the magnification does not hang on what a model or a user asks for
)
NEARLY = 0.01  # agreement that a smaller magnification may fall short of the best by
MANY = 0.06  # how much the share of the picture counts that is covered by agreeing particles
SIDE = 512  # px of the magnified picture in each of the five windows a large picture is judged by


def agreement(labels: Labels, maps: Maps) -> NDArray[np.float64]:
    """How well each particle's own shape agrees with what the network says of its pixels, 0 to 1.

    The core that the network gives for a pixel is compared with the pixel's depth below the edge of the particle that was
    made of it, over the greatest depth: one less the mean difference, times the mean probability of foreground. Particles that
    the network sees too large or too small for what it learnt agree badly, so this tells which magnification suits a picture.

    Args:
        labels: (h, w) from `labels_from_maps`, 1, 2, ..., n.
        maps: (6, h, w) logits.

    Returns:
        (n,).
    """
    count = int(labels.max(initial=0)) + 1
    depth = depth_below_edge(labels)
    deepest = np.zeros(count)
    np.maximum.at(deepest, labels.ravel(), depth.ravel())
    differ = np.abs(probability(maps[2]) - depth / np.maximum(deepest, 1)[labels])
    area = np.maximum(np.bincount(labels.ravel(), minlength=count), 1)
    wrong = np.bincount(labels.ravel(), differ.ravel(), count) / area
    sure = np.bincount(labels.ravel(), probability(maps[0]).ravel(), count) / area
    return np.asarray((sure * (1 - wrong))[1:], float)


def best_zoom(maps: Mapping[float, Sequence[Maps]]) -> float:
    """The smallest magnification whose particles agree nearly best with the network; next to 1 if none finds any.

    What is compared is the mean agreement, times a low power of the agreeing particles' share of the picture: a few that agree
    well do not outdo many that agree a little less.

    Args:
        maps: for each magnification the maps (6, h, w) of one or more parts of a picture.
    """
    mean, share = {}, {}
    for zoom, parts in maps.items():
        labels = [labels_from_maps(one, SEED) for one in parts]
        found = [agreement(each, one) for each, one in zip(labels, parts, strict=True)]
        agreeing = sum(float(np.bincount(each.ravel())[1:] @ of) for each, of in zip(labels, found, strict=True))
        share[zoom] = agreeing / sum(each.size for each in labels)
        mean[zoom] = float(np.concatenate(found).mean()) if share[zoom] else 0.0
    if not any(share.values()):
        return min(mean, key=lambda zoom: abs(np.log(zoom)))
    value = {zoom: mean[zoom] * (share[zoom] / max(share.values())) ** MANY for zoom in mean}
    return min(zoom for zoom in value if value[zoom] >= max(value.values()) - NEARLY)


def windows(shape: tuple[int, int], zoom: float) -> Iterator[tuple[slice, slice]]:
    """What of a picture (h, w) is looked at to judge a magnification: all of it, or five windows of a large one."""
    height, width = shape
    side = int(np.ceil(SIDE / zoom))
    if height * width <= 5 * side**2:
        yield slice(0, height), slice(0, width)
        return
    tall, wide = min(side, height), min(side, width)
    for y, x in ((0.5, 0.5), (0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)):
        top, left = round(y * (height - tall)), round(x * (width - wide))
        yield slice(top, top + tall), slice(left, left + wide)
