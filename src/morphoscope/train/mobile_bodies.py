"""Bodies of small pretrained networks: EfficientNet-Lite 0 to 2, MobileNetV2, and an untrained one for trials."""

from __future__ import annotations

from math import ceil

import torch
from torch import Tensor, nn

from morphoscope.train.lite_encoder import Block, Convolution, Shape, layer, published_names

# repeats, inputs, outputs, kernel, stride and expansion of EfficientNet-B0's stages
STAGES = (
    (1, 32, 16, 3, 1, 1),
    (2, 16, 24, 3, 2, 6),
    (2, 24, 40, 5, 2, 6),
    (3, 40, 80, 3, 2, 6),
    (3, 80, 112, 5, 1, 6),
    (4, 112, 192, 5, 2, 6),
    (1, 192, 320, 3, 1, 6),
)
# channels' and blocks' numbers times these (Tan & Le, arXiv:1905.11946; no squeeze and excitation, the stem not scaled)
LITE_SCALES = {"lite0": (1.0, 1.0), "lite1": (1.0, 1.1), "lite2": (1.1, 1.2)}
EXPANDED = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


def lite_blocks(name: str) -> tuple[Shape, ...]:
    """Shapes of the blocks of EfficientNet-Lite 0, 1 or 2."""
    wide, deep = LITE_SCALES[name]
    shapes: list[Shape] = []
    for k, (repeats, inputs, outputs, kernel, stride, expansion) in enumerate(STAGES):
        first, last = 32 if k == 0 else _eights(inputs * wide), _eights(outputs * wide)
        shapes.append((first, last, kernel, stride, expansion))
        often = repeats if k in (0, len(STAGES) - 1) else ceil(repeats * deep)
        shapes += [(last, last, kernel, 1, expansion)] * (often - 1)
    return tuple(shapes)


def _eights(channels: float) -> int:
    return max(8, int(channels + 4) // 8 * 8)


class LiteBody(nn.Module):
    """EfficientNet-Lite without its head: the maps before each halving and the last one."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.shapes = lite_blocks(name)
        self.stem = layer(3, 32, 3, 2)
        self.blocks = nn.ModuleList(Block(*shape) for shape in self.shapes)
        self.widths = (*(shape[0] for shape in self.shapes if shape[3] == 2), self.shapes[-1][1])

    def forward(self, x: Tensor) -> list[Tensor]:
        """Maps of an image (n, 3, h, w)."""
        x, maps = self.stem(x), []
        for shape, block in zip(self.shapes, self.blocks, strict=True):
            if shape[3] == 2:
                maps.append(x)
            x = block(x)
        return [*maps, x]

    def ours(self, given: dict[str, Tensor]) -> dict[str, Tensor]:
        """Published weights under the names used here."""
        return {ours: given[theirs] for theirs, ours in published_names(self.shapes) if theirs in given}


class _Inverted(nn.Module):
    """An inverted residual under torchvision's names (Sandler et al., arXiv:1801.04381)."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        layers: list[nn.Module] = [_mobile(inputs, inner, 1)] if expansion > 1 else []
        layers += [_mobile(inner, inner, 3, stride, inner), nn.Conv2d(inner, outputs, 1, bias=False), nn.BatchNorm2d(outputs)]
        self.conv = nn.Sequential(*layers)
        self.skip = inputs == outputs and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x)
        return x + out if self.skip else out


def _mobile(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    convolution = Convolution(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU6(inplace=True))


class MobileBody(nn.Module):
    """MobileNetV2 without its head, under torchvision's names: the maps before each halving and the last one."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [_mobile(3, 32, 3, 2)]
        inputs, self.halving, widths = 32, [], []
        for expansion, outputs, repeats, stride in EXPANDED:
            for k in range(repeats):
                if k == 0 and stride == 2:
                    self.halving.append(len(layers))
                    widths.append(inputs)
                layers.append(_Inverted(inputs, outputs, stride if k == 0 else 1, expansion))
                inputs = outputs
        self.features = nn.Sequential(*layers)
        self.widths = (*widths, inputs)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Maps of an image (n, 3, h, w)."""
        maps = []
        for k, part in enumerate(self.features):
            if k in self.halving:
                maps.append(x)
            x = part(x)
        return [*maps, x]

    def ours(self, given: dict[str, Tensor]) -> dict[str, Tensor]:
        """Published weights under the names used here: the same."""
        return given


class TinyBody(nn.Module):
    """Three untrained layers, the same ones each time: quick, for trials and tests."""

    widths = (8, 16, 32)

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.layers = nn.ModuleList(layer(a, b, 3, 2) for a, b in ((3, 8), (8, 16), (16, 32)))
            for part in self.layers:
                nn.init.orthogonal_(part[0].weight)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Maps of an image (n, 3, h, w)."""
        maps = []
        for part in self.layers:
            x = part(x)
            maps.append(x)
        return maps

    def ours(self, given: dict[str, Tensor]) -> dict[str, Tensor]:
        """Weights under the names used here: the same."""
        return given
