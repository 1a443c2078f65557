"""What a classifier learns on features that stay as they are: a linear layer, or how far the votes of similar images reach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from morphoscope.train.class_network import ClassNet, NeighbourHead, Scaled
from morphoscope.train.coreset import coreset

STRENGTHS = tuple(float(x) for x in np.geomspace(1e-2, 1e-6, 9))  # of the penalty on the weights, from strong to weak
WIDTHS = tuple(float(x) for x in np.geomspace(0.3, 0.01, 7))  # of the votes of similar images, as a cosine
STEPS = 60
LABELLED = 8.0  # how much an image counts that has a label, beside one without whose class is certain
MOST_KNOWN = 4000  # images that a model keeps to compare with; 2 kB each
FLOOR = 1e-3  # share of its vote that each image has for all classes alike
Array = NDArray[np.float32]


@dataclass(frozen=True)
class Guesses:
    """What is taken for true of images without a label: raw `features` (m, d), `targets` (m, k), how much each counts (m,)."""

    features: Array
    targets: Array
    weights: Array


@dataclass(frozen=True)
class Lessons:
    """What a head learns: raw features (n, d) of images, and how much of each class each is (n, k), rows adding up to 1.

    `more` (n, v, d): features of each image seen in v other ways; `guesses`: images beside them whose class is guessed.
    """

    features: Array
    targets: Array
    more: Array
    guesses: Guesses | None = None

    def some(self, numbers: NDArray[np.int64]) -> Lessons:
        """Those of some images, without guesses."""
        return Lessons(self.features[numbers], self.targets[numbers], self.more[numbers])

    @property
    def views(self) -> Array:
        """Features (n (1 + v) + m, d) of all views: first the images as they are, then way by way, then those of guesses."""
        guessed = [] if self.guesses is None else [self.guesses.features]
        return np.concatenate([self.features, *self.more.transpose(1, 0, 2), *guessed])

    @property
    def rows(self) -> tuple[Array, Array]:
        """Targets and weights in the loss of all `views`; the weights' mean is 1."""
        often = 1 + self.more.shape[1]
        targets, weights = np.tile(self.targets, (often, 1)), np.tile(self.weights, often)
        if self.guesses is None:
            return targets, weights
        targets = np.concatenate([targets, self.guesses.targets])
        weights = np.concatenate([weights * np.float32(LABELLED / often), self.guesses.weights])
        return targets, np.asarray(weights / weights.mean(), np.float32)

    @property
    def weights(self) -> Array:
        """Of each image in the loss (n,), so that all classes weigh alike; their mean is 1."""
        mass = self.targets.sum(axis=0)
        by_class = np.divide(1.0, mass, out=np.zeros_like(mass), where=mass > 0)
        weight = self.targets @ by_class
        return np.asarray(weight * len(weight) / weight.sum(), np.float32)

    @property
    def shift(self) -> Array:
        """What logits (k,) learnt with these weights are to be raised by for the classes to have their own shares."""
        share = self.targets.mean(axis=0)
        return np.asarray(np.log(np.where(share > 0, share, 1 / max(len(share), 1)) * (share > 0).sum()), np.float32)


def scaled_lessons(lessons: Lessons, stages: Sequence[int]) -> tuple[Scaled, Tensor]:
    """The scale of the features of all views, and all on it; see `Lessons.views`."""
    scaled, features = Scaled(stages), torch.from_numpy(lessons.views)
    scaled.fit(features)
    return scaled, scaled(features)


def linear_path(seen: Tensor, lessons: Lessons, strengths: Sequence[float] = STRENGTHS) -> list[tuple[Tensor, Tensor]]:
    """Weights (k, d) and biases (k,) of multinomial regressions with a squared penalty, one after another, from strong to weak.

    Args:
        seen: features of all views, each of which weighs alike, see `Scaled.level`.
        lessons: the targets and their weights.
        strengths: of the penalty, falling; each regression starts where the last one ended.
    """
    targets, share = (torch.from_numpy(x) for x in lessons.rows)
    weight = torch.zeros(targets.shape[1], seen.shape[1], requires_grad=True)
    bias, found = torch.zeros(targets.shape[1], requires_grad=True), []
    shift = torch.from_numpy(lessons.shift)
    for strength in strengths:
        optimiser = torch.optim.LBFGS([weight, bias], max_iter=STEPS, line_search_fn="strong_wolfe")

        def loss(optimiser: torch.optim.LBFGS = optimiser, strength: float = strength) -> Tensor:
            optimiser.zero_grad()
            cross = -(targets * torch.log_softmax(seen @ weight.T + bias, dim=1)).sum(dim=1)
            value: Tensor = (cross * share).mean() + strength * (weight**2).sum()
            value.backward()
            return value

        optimiser.step(loss)
        found.append((weight.detach().clone(), bias.detach() + shift))
    return found


def votes_of(targets: Array) -> Tensor:
    """Logarithm (m, k) of the votes of known images for each class."""
    even = FLOOR / targets.shape[1]
    return torch.from_numpy(np.log((1 - FLOOR) * targets + even).astype(np.float32))


def fit_network(network: ClassNet, lessons: Lessons, *, chosen: float) -> None:
    """Learn the head, the scale and the known images of a network whose backbone stays as it is.

    Args:
        network: is changed; it knows as many images as there are lessons, or fewer: then those that stand for the others.
        lessons: all images.
        chosen: strength of the penalty, or width of the votes.
    """
    scaled, seen = scaled_lessons(lessons, network.backbone.stages)
    network.scaled.load_state_dict(scaled.state_dict())
    plain = seen[: len(lessons.features)]
    kept = coreset(plain.numpy(), network.known)
    with torch.no_grad():
        network.bank.copy_(plain[kept])
        if isinstance(network.head, NeighbourHead):
            network.head.votes.copy_(votes_of(lessons.targets[kept]))
            network.head.width.fill_(chosen)
            return
        upto = [strength for strength in STRENGTHS if strength > chosen] + [chosen]
        weight, bias = linear_path(scaled.level(seen), lessons, upto)[-1]
        network.head.last.weight.copy_(weight)
        network.head.last.bias.copy_(bias)
