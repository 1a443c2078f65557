"""Copies among labelled images: near ones are kept together, the same image in two classes is left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from morphoscope.train.class_network import squared_distances

NEAR = 0.22  # of the distance of two images that have nothing in common: views of one micrograph that overlap by most of them
SAME = 0.03  # the same image, stored twice
ROWS = 1024  # whose distances are taken at once
SHOWN = 3  # names that a note gives
Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Copies:
    """What is alike among n images.

    `groups` (n,): names, those of near copies joined; `twofold`: numbers of images that are in two classes; `joined`: how many
    images have copies that the labels do not give the same group; `unlike`: pairs of near copies that are in different classes,
    the same content once.
    """

    groups: tuple[str, ...]
    twofold: tuple[int, ...]
    joined: int
    unlike: tuple[tuple[int, int], ...]

    def notes(self, names: Sequence[str]) -> list[str]:
        """What is to be said of it, images called by name."""
        said = []
        if self.twofold:
            shown = ", ".join(names[k] for k in self.twofold[:SHOWN])
            more = f" and {len(self.twofold) - SHOWN} more" if len(self.twofold) > SHOWN else ""
            said.append(
                f"{len(self.twofold)} images are in two classes and were not learnt: {shown}{more}; keep each in one class"
            )
        if self.joined:
            said.append(f"{self.joined} images are near copies of another: copies are held out together")
        if self.unlike:
            shown = "; ".join(f"{names[i]} and {names[j]}" for i, j in self.unlike[:SHOWN])
            said.append(f"{len(self.unlike)} pairs of near copies have different classes, worth a look: {shown}")
        return said


def find_copies(
    features: torch.Tensor, *, stages: int, truth: NDArray[np.int64], groups: Sequence[str], digests: Sequence[str]
) -> Copies:
    """Which of n images are copies.

    Args:
        features: (n, d) on one scale, see `class_network.Scaled`: two images that have nothing in common are about
            sqrt(2 stages) apart.
        stages: of the backbone.
        truth: numbers (n,) of the classes.
        groups: of each image, as the labels give them.
        digests: of each image's values; equal ones are the same image.
    """
    _, first, content = np.unique(np.array(digests, str), return_index=True, return_inverse=True)
    own, twofold, pairs = _of_contents(features[torch.from_numpy(first)], truth, content, unit=float(np.sqrt(2 * stages)))
    own, _, name = own[content], *np.unique(np.array(groups, str), return_inverse=True)
    kinds = np.unique(np.stack([own, name]), axis=1)[0]  # each set of copies as often as labels give it a group
    images = np.arange(len(own)) + len(first) + len(own)
    root = _first_joined(np.r_[own, name + len(first)], np.tile(images, 2))[images]
    _, leader, number = np.unique(root, return_index=True, return_inverse=True)
    return Copies(
        groups=tuple(groups[k] for k in leader[number].tolist()),
        twofold=tuple(np.flatnonzero(twofold[content]).tolist()),
        joined=int((np.bincount(kinds, minlength=len(first))[own] > 1).sum()),
        unlike=tuple((i, j) for i, j in sorted(np.sort(first[pairs], axis=0).T.tolist())),
    )


def _of_contents(
    features: torch.Tensor, truth: Numbers, content: Numbers, *, unit: float
) -> tuple[Numbers, NDArray[np.bool_], Numbers]:
    """What is alike among m different contents with features (m, d).

    Args:
        features: on one scale.
        truth: the class (n,) of each image.
        content: the number (n,) of its content.
        unit: the distance of two that have nothing in common.

    Returns:
        The first content (m,) of the set of near copies that each is of; whether (m,) it is in two classes; pairs (2, p) of near
        copies that are in different classes, but in no two each.
    """
    lowest, highest = np.full(len(features), len(truth) + int(truth.max(initial=0))), np.zeros(len(features), np.int64)
    np.minimum.at(lowest, content, truth)
    np.maximum.at(highest, content, truth)
    twofold, unlike, near = lowest < highest, [np.zeros((2, 0), np.int64)], np.arange(len(features))
    for i, j, far in close_pairs(features, NEAR * unit):
        near = _first_joined(np.r_[i, np.arange(len(near))], np.r_[j, near])
        differ = np.minimum(lowest[i], lowest[j]) < np.maximum(highest[i], highest[j])
        same = differ & (far < SAME * unit)
        twofold[i[same]] = twofold[j[same]] = True
        unlike.append(np.stack([i, j])[:, differ & ~same])
    pairs = np.concatenate(unlike, axis=1)
    return near, twofold, pairs[:, ~twofold[pairs].any(axis=0)]


def close_pairs(features: torch.Tensor, limit: float) -> Iterator[tuple[Numbers, Numbers, NDArray[np.float32]]]:
    """Pairs i < j (p,) of features (n, d) that are less than a distance apart, and their distances, some rows at a time."""
    for start in range(0, len(features), ROWS):
        far = squared_distances(features[start : start + ROWS], features[start:]).sqrt()
        rows, columns = torch.nonzero(torch.triu(far < limit, diagonal=1), as_tuple=True)
        yield (rows + start).numpy(), (columns + start).numpy(), far[rows, columns].numpy()


def _first_joined(i: Numbers, j: Numbers) -> Numbers:
    """The first node of the part that each is in, of a graph with edges between nodes i and j (m,)."""
    count = int(max(i.max(initial=-1), j.max(initial=-1))) + 1
    part = connected_components(coo_array((np.ones(len(i), bool), (i, j)), shape=(count, count)), directed=False)[1]
    return np.asarray(np.unique(part, return_index=True)[1][part], np.int64)
