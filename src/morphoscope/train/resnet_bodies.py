"""Bodies of ResNet-18 and ResNet-50 under torchvision's names (He et al., arXiv:1512.03385)."""

from __future__ import annotations

from torch import Tensor, nn

REPEATS = {"resnet18": (2, 2, 2, 2), "resnet50": (3, 4, 6, 3)}


class _Residual(nn.Module):
    """Two layers of 3 x 3, or one of them between two of 1 x 1, beside a shortcut; the stride is in the 3 x 3 one."""

    def __init__(self, inputs: int, width: int, stride: int, *, deep: bool) -> None:
        super().__init__()
        outputs = width * 4 if deep else width
        shapes = [(inputs, width, 1, 1), (width, width, 3, stride), (width, outputs, 1, 1)]
        if not deep:
            shapes = [(inputs, width, 3, stride), (width, width, 3, 1)]
        self.count = len(shapes)
        for k, (a, b, kernel, step) in enumerate(shapes, start=1):
            self.add_module(f"conv{k}", nn.Conv2d(a, b, kernel, step, kernel // 2, bias=False))
            self.add_module(f"bn{k}", nn.BatchNorm2d(b))
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None
        if stride > 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for k in range(1, self.count + 1):
            y = self.get_submodule(f"bn{k}")(self.get_submodule(f"conv{k}")(y))
            if k < self.count:
                y = self.relu(y)
        out: Tensor = self.relu(y + (x if self.downsample is None else self.downsample(x)))
        return out


class ResnetBody(nn.Module):
    """ResNet without its classes: the maps of its four stages."""

    def __init__(self, name: str) -> None:
        super().__init__()
        deep = name == "resnet50"
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        inputs, widths = 64, []
        for k, repeats in enumerate(REPEATS[name]):
            blocks = []
            for j in range(repeats):
                blocks.append(_Residual(inputs, 64 * 2**k, 2 if k and not j else 1, deep=deep))
                inputs = 64 * 2**k * (4 if deep else 1)
            self.add_module(f"layer{k + 1}", nn.Sequential(*blocks))
            widths.append(inputs)
        self.widths = tuple(widths)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Maps of an image (n, 3, h, w)."""
        x, maps = self.maxpool(self.relu(self.bn1(self.conv1(x)))), []
        for k in range(1, 5):
            x = self.get_submodule(f"layer{k}")(x)
            maps.append(x)
        return maps

    def ours(self, given: dict[str, Tensor]) -> dict[str, Tensor]:
        """Published weights under the names used here: the same."""
        return given
