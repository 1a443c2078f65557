"""Copies among labelled images: near ones are kept together, the same image in two classes is left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from morphoscope.train.class_network import squared_distances

NEAR = 0.22  # of the distance of two images that have nothing in common: views of one micrograph that overlap
SAME = 0.03  # the same image, stored twice
ROWS = 1024  # whose distances are taken at once
SHOWN = 3  # names that a note gives


@dataclass(frozen=True)
class Copies:
    """What is alike among n images.

    `groups` (n,): names, those of near copies joined; `twofold`: numbers of images that are in two classes; `joined`: how many
    images share a group that the labels do not give them; `unlike`: pairs of near copies that are in different classes.
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
    unit = float(np.sqrt(2 * stages))
    parent = list(range(len(truth)))
    twofold: set[int] = set()
    unlike: list[tuple[int, int]] = []
    near = {*_close(features, NEAR * unit)}
    same = {*_close(features, SAME * unit), *_equal(digests)}
    for i, j in sorted(near | same):
        _join(parent, i, j)
        if truth[i] == truth[j]:
            continue
        if (i, j) in same:
            twofold |= {i, j}
        else:
            unlike.append((i, j))
    own = [_root(parent, k) for k in range(len(parent))]
    sizes = np.bincount(own, minlength=len(own))
    joined = sum(int(sizes[k]) > 1 for k in own)
    given: dict[str, int] = {}
    for k, name in enumerate(groups):
        _join(parent, given.setdefault(name, k), k)
    names = tuple(groups[_root(parent, k)] for k in range(len(parent)))
    return Copies(names, tuple(sorted(twofold)), joined, tuple(p for p in unlike if not twofold & set(p)))


def _close(features: torch.Tensor, limit: float) -> Iterator[tuple[int, int]]:
    """Pairs (i, j), i < j, of features (n, d) that are less than a distance apart."""
    for first in range(0, len(features), ROWS):
        squares = squared_distances(features[first : first + ROWS], features)
        rows, columns = torch.nonzero(squares < limit**2, as_tuple=True)
        for i, j in zip((rows + first).tolist(), columns.tolist(), strict=True):
            if i < j:
                yield i, j


def _equal(digests: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Pairs of each image and the first of the same digest, and of images of that digest one after another."""
    found: dict[str, list[int]] = {}
    for k, digest in enumerate(digests):
        found.setdefault(digest, []).append(k)
    for numbers in found.values():
        for k, j in enumerate(numbers):
            yield from ((i, j) for i in numbers[:k])


def _root(parent: list[int], k: int) -> int:
    while parent[k] != k:
        parent[k] = parent[parent[k]]
        k = parent[k]
    return k


def _join(parent: list[int], i: int, j: int) -> None:
    a, b = sorted((_root(parent, i), _root(parent, j)))
    parent[b] = a
