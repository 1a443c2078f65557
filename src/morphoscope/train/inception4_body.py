"""The body of Inception-v4 under timm's names (Szegedy et al., arXiv:1602.07261)."""

from __future__ import annotations

from torch import Tensor, nn

from morphoscope.train.inception3_body import Branches, Convolution, Shape, same


def _stem() -> list[nn.Module]:
    long: list[Shape] = [(160, 64, 1), same(64, 64, (1, 7)), same(64, 64, (7, 1)), (64, 96, 3)]
    return [
        Convolution(3, 32, 3, 2),
        Convolution(32, 32, 3),
        Convolution(*same(32, 64, 3)),
        Branches({"conv": (64, 96, 3, 2)}, (("most",), ("conv",))),
        Branches({"branch0": [(160, 64, 1), (64, 96, 3)], "branch1": long}, (("branch0",), ("branch1",))),
        Branches({"conv": (192, 192, 3, 2)}, (("conv",), ("most",))),
    ]


def _four(**layers: Shape | list[Shape]) -> Branches:
    return Branches(layers, [(name,) for name in layers])


def _a() -> Branches:
    three: list[Shape] = [(384, 64, 1), same(64, 96, 3), same(96, 96, 3)]
    return _four(branch0=(384, 96, 1), branch1=three[:2], branch2=three, branch3=[("mean",), (384, 96, 1)])


def _reduce_a() -> Branches:
    layers: dict[str, Shape | list[Shape]] = {
        "branch0": (384, 384, 3, 2),
        "branch1": [(384, 192, 1), same(192, 224, 3), (224, 256, 3, 2)],
    }
    return Branches(layers, (("branch0",), ("branch1",), ("most",)))


def _b() -> Branches:
    one: list[Shape] = [(1024, 192, 1), same(192, 224, (1, 7)), same(224, 256, (7, 1))]
    two: list[Shape] = [(1024, 192, 1), same(192, 192, (7, 1)), same(192, 224, (1, 7)), same(224, 224, (7, 1))]
    two.append(same(224, 256, (1, 7)))
    return _four(branch0=(1024, 384, 1), branch1=one, branch2=two, branch3=[("mean",), (1024, 128, 1)])


def _reduce_b() -> Branches:
    layers: dict[str, Shape | list[Shape]] = {
        "branch0": [(1024, 192, 1), (192, 192, 3, 2)],
        "branch1": [(1024, 256, 1), same(256, 256, (1, 7)), same(256, 320, (7, 1)), (320, 320, 3, 2)],
    }
    return Branches(layers, (("branch0",), ("branch1",), ("most",)))


def _c() -> Branches:
    layers: dict[str, Shape | list[Shape]] = {
        "branch0": (1536, 256, 1),
        "branch1_0": (1536, 384, 1),
        "branch1_1a": same(384, 256, (1, 3)),
        "branch1_1b": same(384, 256, (3, 1)),
        "branch2_0": (1536, 384, 1),
        "branch2_1": same(384, 448, (3, 1)),
        "branch2_2": same(448, 512, (1, 3)),
        "branch2_3a": same(512, 256, (1, 3)),
        "branch2_3b": same(512, 256, (3, 1)),
        "branch3": [("mean",), (1536, 256, 1)],
    }
    one = ("branch1_0|", "branch1_1a", "branch1_1b")
    two = ("branch2_0", "branch2_1", "branch2_2|", "branch2_3a", "branch2_3b")
    return Branches(layers, (("branch0",), one, two, ("branch3",)))


class Inception4Body(nn.Module):
    """Inception-v4 without its classes: the maps of strides 2 to 32. Sides of an image from 80 px on."""

    widths = (64, 192, 384, 1024, 1536)
    ends = (2, 4, 9, 17, 21)

    def __init__(self) -> None:
        super().__init__()
        blocks = [*(_a() for _ in range(4)), _reduce_a(), *(_b() for _ in range(7)), _reduce_b(), *(_c() for _ in range(3))]
        self.features = nn.Sequential(*_stem(), *blocks)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Maps of an image (n, 3, h, w)."""
        maps = []
        for k, part in enumerate(self.features):
            x = part(x)
            if k in self.ends:
                maps.append(x)
        return maps

    def ours(self, given: dict[str, Tensor]) -> dict[str, Tensor]:
        """Published weights under the names used here: the same."""
        return given
