"""The network of a classifier of images: a backbone, its features on one scale, a head, and the images that it knows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from morphoscope.train.backbones import Backbone, build_backbone

FARTHEST = 20.0  # standardised features are clipped to -20..20
LEAST_SPREAD = 1e-4


class Scaled(nn.Module):
    """Features (n, d) less their mean over their spread among what is learnt; each stage of the backbone weighs alike.

    That is best to see what is foreign, which may differ in its grain or in its forms; to tell classes it is better that each
    feature weighs alike, see `level`.

    Args:
        stages: how many features each stage has.
    """

    def __init__(self, stages: Sequence[int]) -> None:
        super().__init__()
        weight = torch.cat([torch.full((count,), count**-0.5) for count in stages])
        even = (len(stages) / len(weight)) ** 0.5
        self.register_buffer("middle", torch.zeros(len(weight)))
        self.register_buffer("spread", torch.ones(len(weight)))
        self.register_buffer("weight", weight)
        self.register_buffer("ratio", even / weight)

    def fit(self, features: Tensor) -> None:
        """Take mean and spread from features (n, d)."""
        self.middle.copy_(features.mean(dim=0))
        self.spread.copy_(features.std(dim=0, correction=0).clamp(min=LEAST_SPREAD))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return ((x - self.middle) / self.spread).clamp(-FARTHEST, FARTHEST) * self.weight

    def level(self, features: Tensor) -> Tensor:
        """Features (n, d) on this scale brought to one on which each feature weighs alike."""
        return features * self.ratio


class LinearHead(nn.Module):
    """Logits (n, k) that are linear in the features."""

    kind = "linear"

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.last = nn.Linear(features, classes)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, features: Tensor, bank: Tensor) -> Tensor:
        """Logits of features (n, d); the known images are not needed."""
        out: Tensor = self.last(features)
        return out


class NeighbourHead(nn.Module):
    """Logits (n, k) by soft votes of the known images: each votes for its class with exp(c / width), c its cosine similarity."""

    kind = "neighbours"

    def __init__(self, known: int, classes: int) -> None:
        super().__init__()
        self.register_buffer("votes", torch.zeros(known, classes))  # logarithm of how much of each class each image is
        self.register_buffer("width", torch.ones(1))

    def forward(self, features: Tensor, bank: Tensor) -> Tensor:
        """Logits of features (n, d) from those of the known images (m, d)."""
        return vote(features, bank, self.votes, self.width)


class ClassNet(nn.Module):
    """A classifier of images (n, 3, h, w): logits (n, k), features (n, d), and how foreign each image is (n,).

    Foreign is the distance of the features to those of the nearest known image, as a share of `reach`.

    Args:
        backbone: see `Backbone`.
        classes: k.
        known: how many images it knows.
        head: `linear` or `neighbours`.
    """

    def __init__(self, backbone: Backbone, *, classes: int, known: int, head: str = "linear") -> None:
        super().__init__()
        self.backbone, self.scaled = backbone, Scaled(backbone.stages)
        self.head = LinearHead(backbone.features, classes) if head == "linear" else NeighbourHead(known, classes)
        self.bank = nn.Parameter(torch.zeros(known, backbone.features), requires_grad=False)
        self.register_buffer("reach", torch.ones(1))
        self.classes, self.known = classes, known

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See the class."""
        features = self.scaled(self.backbone(x))
        far = squared_distances(features, self.bank).amin(dim=1).sqrt()
        return self.head(self.scaled.level(features), self.scaled.level(self.bank)), features, far / self.reach

    def architecture(self) -> dict[str, Any]:
        """What a model card keeps so that `build_class_network` makes the network again."""
        return {
            "network": "ClassNet",
            "backbone": self.backbone.name,
            "gain": self.backbone.gain,
            "head": self.head.kind,
            "classes": self.classes,
            "known": self.known,
        }


def build_class_network(architecture: dict[str, Any], *, classes: int | None = None) -> ClassNet:
    """The network that a card describes, weights of chance in it; with another number of classes where one is given."""
    backbone = build_backbone(architecture["backbone"], pretrained=False)
    backbone.gain = architecture.get("gain", _gain_before(backbone))
    shape = {"classes": classes or architecture["classes"], "known": architecture["known"]}
    return ClassNet(backbone, **shape, head=architecture["head"])


def _gain_before(backbone: Backbone) -> float:
    """The gain of files whose card does not tell it: EfficientNet-Lite had none then."""
    return 1.0 if backbone.name.startswith("lite") else backbone.gain


def squared_distances(features: Tensor, bank: Tensor) -> Tensor:
    """Squares (n, m) of the distances of features (n, d) to each of a bank (m, d)."""
    own, known = (features * features).sum(dim=1), (bank * bank).sum(dim=1)
    return (own[:, None] + known - 2 * features @ bank.T).clamp(min=0)


def vote(features: Tensor, bank: Tensor, votes: Tensor, width: Tensor | float) -> Tensor:
    """Logits (n, k) of features (n, d) from a bank (m, d) whose images are so much of each class (m, k, logarithms)."""
    own, known = (nn.functional.normalize(x, dim=1, eps=1e-6) for x in (features, bank))
    return torch.logsumexp(votes + (own @ known.T / width)[:, :, None], dim=1)
