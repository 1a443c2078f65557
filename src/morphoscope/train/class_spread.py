"""Images without a label as help: classes are guessed by what few labels teach and by what looks alike, and learnt in turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags_array

from morphoscope.train.class_heads import Guesses, Lessons, linear_path, scaled_lessons
from morphoscope.train.class_network import Scaled, squared_distances

NEIGHBOURS = 10
ROUNDS = 3
FIRST, LATER = 0.9, 0.8  # how much of what is spread comes from neighbours
STEPS = 60
ROWS = 1024  # whose distances are taken at once
ALONE = (1e-2, 1e-3, 1e-4)  # strength of the penalty on labels alone, the last one counts: few labels, many views
TOGETHER = (1e-2, 1e-3, 2e-4)
Array = NDArray[np.float32]


def self_taught(lessons: Lessons, others: Array, *, stages: Sequence[int]) -> Lessons:
    """Lessons with guesses for images without a label.

    A linear layer learns the labels and guesses the others; guesses are spread over a graph of the most similar images (Zhou et
    al., NIPS 2003) and learnt with the labels, those that are certain more than others; three times. Shares of the classes are
    not forced to be equal: where they are not among the images without a label that does harm.

    Args:
        lessons: images with a label.
        others: raw features (m, d) of images without one.
        stages: of the backbone.
    """
    if not len(others):
        return lessons
    graph = similar(last_stage(np.concatenate([lessons.features, others]), stages))
    scaled, seen = scaled_lessons(lessons, stages)
    probability, found = _guess(scaled, linear_path(scaled.level(seen), lessons, ALONE)[-1], others), lessons
    for k in range(ROUNDS):
        known = np.concatenate([lessons.targets, probability])
        even = spread(graph, known, FIRST if k == 0 else LATER)[len(lessons.features) :]
        shares = even / even.sum(axis=1, keepdims=True).clip(1e-12)
        certain = np.eye(shares.shape[1], dtype=np.float32)[shares.argmax(axis=1)]
        guesses = Guesses(others, certain, np.asarray(shares.max(axis=1) ** 2, np.float32))
        found = replace(lessons, guesses=guesses)
        scaled, seen = scaled_lessons(found, stages)
        probability = _guess(scaled, linear_path(scaled.level(seen), found, TOGETHER)[-1], others)
    return found


def _guess(scaled: Scaled, layer: tuple[torch.Tensor, torch.Tensor], others: Array) -> Array:
    """Probabilities (m, k) of images with raw features (m, d)."""
    weight, bias = layer
    return np.asarray(torch.softmax(scaled.level(scaled(torch.from_numpy(others))) @ weight.T + bias, dim=1).numpy())


def last_stage(features: Array, stages: Sequence[int]) -> torch.Tensor:
    """Features (n, c) of the last stage on their own scale: what images are alike in, their grain and noise left out."""
    part = torch.from_numpy(np.ascontiguousarray(features[:, -stages[-1] :]))
    scaled = Scaled(stages[-1:])
    scaled.fit(part)
    return scaled(part)


def similar(features: torch.Tensor, *, neighbours: int = NEIGHBOURS) -> csr_matrix:
    """The graph (n, n) of the most similar images, its weights falling with the distance and normalised symmetrically.

    The width of the fall is that of each pair's own neighbourhoods (Zelnik-Manor & Perona, NIPS 2004).
    """
    n, count = len(features), min(neighbours, len(features) - 1)
    near, far = np.empty((n, count), np.int64), np.empty((n, count))
    for first in range(0, n, ROWS):
        squares = squared_distances(features[first : first + ROWS], features)
        squares[torch.arange(len(squares)), torch.arange(first, first + len(squares))] = torch.inf
        values, places = squares.topk(count, largest=False)
        near[first : first + ROWS], far[first : first + ROWS] = places.numpy(), values.numpy()
    width = np.sqrt(far[:, -1]).clip(1e-9)
    weight = np.exp(-far / (width[:, None] * width[near]))
    one = csr_matrix((weight.ravel(), (np.repeat(np.arange(n), count), near.ravel())), shape=(n, n))
    both = one.maximum(one.T)
    scale = diags_array(1 / np.sqrt(np.asarray(both.sum(axis=1)).ravel().clip(1e-12)))
    return csr_matrix(scale @ both @ scale)


def spread(graph: csr_matrix, known: Array, share: float, *, steps: int = STEPS) -> NDArray[np.float64]:
    """What is known (n, k) spread over a graph: each step, that `share` from the neighbours and the rest from what was known."""
    found = known.astype(float)
    for _ in range(steps):
        found = share * (graph @ found) + (1 - share) * known
    return found
