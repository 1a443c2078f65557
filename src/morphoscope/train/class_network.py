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

    Args:
        stages: how many features each stage has.
    """

    def __init__(self, stages: Sequence[int]) -> None:
        super().__init__()
        weight = torch.cat([torch.full((count,), count**-0.5) for count in stages])
        self.register_buffer("middle", torch.zeros(len(weight)))
        self.register_buffer("spread", torch.ones(len(weight)))
        self.register_buffer("weight", weight)

    def fit(self, features: Tensor) -> None:
        """Take mean and spread from features (n, d)."""
        self.middle.copy_(features.mean(dim=0))
        self.spread.copy_(features.std(dim=0, correction=0).clamp(min=LEAST_SPREAD))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return ((x - self.middle) / self.spread).clamp(-FARTHEST, FARTHEST) * self.weight


class LinearHead(nn.Module):
    """Logits (n, k) that are linear in the features."""

    kind = "linear"

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.last = nn.Linear(features, classes)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, features: Tensor, squares: Tensor) -> Tensor:
        """Logits; the squared distances to the known images are not needed."""
        out: Tensor = self.last(features)
        return out


class NeighbourHead(nn.Module):
    """Logits (n, k) by soft votes of the known images, the nearer the stronger.

    The vote of an image at the squared distance s is exp(-s / width); a class has the mean of the votes of its images.
    """

    kind = "neighbours"

    def __init__(self, known: int, classes: int) -> None:
        super().__init__()
        self.register_buffer("votes", torch.zeros(known, classes))  # logarithm of each image's share in each class
        self.register_buffer("width", torch.ones(1))

    def forward(self, features: Tensor, squares: Tensor) -> Tensor:
        """Logits from the squared distances (n, m) to the known images."""
        return torch.logsumexp(self.votes - (squares / self.width)[:, :, None], dim=1)


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
        squares = squared_distances(features, self.bank)
        return self.head(features, squares), features, squares.amin(dim=1).sqrt() / self.reach

    def architecture(self) -> dict[str, Any]:
        """What a model card keeps so that `build_class_network` makes the network again."""
        return {
            "network": "ClassNet",
            "backbone": self.backbone.name,
            "head": self.head.kind,
            "classes": self.classes,
            "known": self.known,
        }


def build_class_network(architecture: dict[str, Any], *, classes: int | None = None) -> ClassNet:
    """The network that a card describes, weights of chance in it; with another number of classes where one is given."""
    backbone = build_backbone(architecture["backbone"], pretrained=False)
    shape = {"classes": classes or architecture["classes"], "known": architecture["known"]}
    return ClassNet(backbone, **shape, head=architecture["head"])


def squared_distances(features: Tensor, bank: Tensor) -> Tensor:
    """Squares (n, m) of the distances of features (n, d) to each of a bank (m, d)."""
    own, known = (features * features).sum(dim=1), (bank * bank).sum(dim=1)
    return (own[:, None] + known - 2 * features @ bank.T).clamp(min=0)
