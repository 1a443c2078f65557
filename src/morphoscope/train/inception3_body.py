"""The body of Inception-v3 under torchvision's names (Szegedy et al., arXiv:1512.00567), and what Inceptions are made of.

A convolution is written as (inputs, outputs, kernel[, stride, padding]); kernel and padding may be pairs (y, x).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

Shape = tuple[Any, ...]


class Convolution(nn.Module):
    """A convolution with batch norm and ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: Any, stride: int = 1, padding: Any = 0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return torch.relu(self.bn(self.conv(x)))


def same(inputs: int, outputs: int, kernel: Any) -> Shape:
    """A convolution that keeps the size."""
    return inputs, outputs, kernel, 1, tuple(n // 2 for n in kernel) if isinstance(kernel, tuple) else kernel // 2


class Branches(nn.Module):
    """Branches side by side, their outputs stacked.

    Each is a list of names of layers that follow one another. A name that ends in `|` splits: the two layers after it both see
    what it gives. `pool` is an average of 3 x 3 that sees zeros beyond the edge, `most` their greatest in steps of 2.

    Args:
        layers: a convolution by its name, or several that follow one another, among which `("mean",)` is an average of 3 x 3 of
            what there is.
        branches: names.
    """

    def __init__(self, layers: dict[str, Shape | list[Shape]], branches: Sequence[Sequence[str]]) -> None:
        super().__init__()
        for name, shape in layers.items():
            self.add_module(name, nn.Sequential(*map(_layer, shape)) if isinstance(shape, list) else Convolution(*shape))
        self.branches = branches

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        found: list[Tensor] = []
        for branch in self.branches:
            y, split = x, False
            for name in branch:
                if name == "pool":
                    y = nn.functional.avg_pool2d(y, 3, 1, 1)
                elif name == "most":
                    y = nn.functional.max_pool2d(y, 3, 2)
                elif split:
                    found.append(self.get_submodule(name)(y))
                else:
                    y = self.get_submodule(name.removesuffix("|"))(y)
                    split = name.endswith("|")
            if not split:
                found.append(y)
        return torch.cat(found, dim=1)


def _layer(shape: Shape) -> nn.Module:
    return nn.AvgPool2d(3, 1, 1, count_include_pad=False) if shape == ("mean",) else Convolution(*shape)


def _a3(inputs: int, pool: int) -> Branches:
    layers: dict[str, Shape | list[Shape]] = {
        "branch1x1": (inputs, 64, 1),
        "branch5x5_1": (inputs, 48, 1),
        "branch5x5_2": same(48, 64, 5),
        "branch3x3dbl_1": (inputs, 64, 1),
        "branch3x3dbl_2": same(64, 96, 3),
        "branch3x3dbl_3": same(96, 96, 3),
        "branch_pool": (inputs, pool, 1),
    }
    dbl = ("branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3")
    return Branches(layers, (("branch1x1",), ("branch5x5_1", "branch5x5_2"), dbl, ("pool", "branch_pool")))


def _b3(inputs: int) -> Branches:
    layers: dict[str, Shape | list[Shape]] = {
        "branch3x3": (inputs, 384, 3, 2),
        "branch3x3dbl_1": (inputs, 64, 1),
        "branch3x3dbl_2": same(64, 96, 3),
        "branch3x3dbl_3": (96, 96, 3, 2),
    }
    return Branches(layers, (("branch3x3",), ("branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"), ("most",)))


def _c3(width: int) -> Branches:
    dbl = [(768, width, 1), *(same(width, width, kernel) for kernel in ((7, 1), (1, 7), (7, 1)))]
    layers: dict[str, Shape | list[Shape]] = {
        "branch1x1": (768, 192, 1),
        "branch7x7_1": (768, width, 1),
        "branch7x7_2": same(width, width, (1, 7)),
        "branch7x7_3": same(width, 192, (7, 1)),
        **{f"branch7x7dbl_{k}": shape for k, shape in enumerate(dbl, start=1)},
        "branch7x7dbl_5": same(width, 192, (1, 7)),
        "branch_pool": (768, 192, 1),
    }
    seven, double = ([f"branch7x7{kind}_{k}" for k in range(1, n + 1)] for kind, n in (("", 3), ("dbl", 5)))
    return Branches(layers, (("branch1x1",), seven, double, ("pool", "branch_pool")))


def _d3() -> Branches:
    layers: dict[str, Shape | list[Shape]] = {
        "branch3x3_1": (768, 192, 1),
        "branch3x3_2": (192, 320, 3, 2),
        "branch7x7x3_1": (768, 192, 1),
        "branch7x7x3_2": same(192, 192, (1, 7)),
        "branch7x7x3_3": same(192, 192, (7, 1)),
        "branch7x7x3_4": (192, 192, 3, 2),
    }
    return Branches(layers, (("branch3x3_1", "branch3x3_2"), [f"branch7x7x3_{k}" for k in range(1, 5)], ("most",)))


def _e3(inputs: int) -> Branches:
    layers: dict[str, Shape | list[Shape]] = {
        "branch1x1": (inputs, 320, 1),
        "branch3x3_1": (inputs, 384, 1),
        "branch3x3_2a": same(384, 384, (1, 3)),
        "branch3x3_2b": same(384, 384, (3, 1)),
        "branch3x3dbl_1": (inputs, 448, 1),
        "branch3x3dbl_2": same(448, 384, 3),
        "branch3x3dbl_3a": same(384, 384, (1, 3)),
        "branch3x3dbl_3b": same(384, 384, (3, 1)),
        "branch_pool": (inputs, 192, 1),
    }
    three = ("branch3x3_1|", "branch3x3_2a", "branch3x3_2b")
    double = ("branch3x3dbl_1", "branch3x3dbl_2|", "branch3x3dbl_3a", "branch3x3dbl_3b")
    return Branches(layers, (("branch1x1",), three, double, ("pool", "branch_pool")))


class InceptionBody(nn.Module):
    """Inception-v3 without its classes: the maps of strides 4, 8, 16 and 32. Sides of an image from 80 px on."""

    widths = (64, 192, 288, 768, 2048)
    stem = ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "most", "Conv2d_3b_1x1", "Conv2d_4a_3x3", "most")
    ends = ("Conv2d_2b_3x3", "Conv2d_4a_3x3", "Mixed_5d", "Mixed_6e", "Mixed_7c")

    def __init__(self) -> None:
        super().__init__()
        shapes: tuple[Shape, ...] = ((3, 32, 3, 2), (32, 32, 3), same(32, 64, 3), (64, 80, 1), (80, 192, 3))
        for name, shape in zip((n for n in self.stem if n != "most"), shapes, strict=True):
            self.add_module(name, Convolution(*shape))
        mixed = {"5b": _a3(192, 32), "5c": _a3(256, 64), "5d": _a3(288, 64), "6a": _b3(288)}
        mixed |= {f"6{letter}": _c3(width) for letter, width in zip("bcde", (128, 160, 160, 192), strict=True)}
        mixed |= {"7a": _d3(), "7b": _e3(1280), "7c": _e3(2048)}
        for name, part in mixed.items():
            self.add_module(f"Mixed_{name}", part)
        self.order = (*self.stem, *(f"Mixed_{name}" for name in mixed))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Maps of an image (n, 3, h, w)."""
        maps = []
        for name in self.order:
            x = nn.functional.max_pool2d(x, 3, 2) if name == "most" else self.get_submodule(name)(x)
            if name in self.ends:
                maps.append(x)
        return maps

    def ours(self, given: dict[str, Tensor]) -> dict[str, Tensor]:
        """Published weights under the names used here: the same."""
        return given
