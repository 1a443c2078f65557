"""Networks that are trained here."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def conv_norm(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """A convolution that keeps the size (over `stride`), a batch norm and a rectifier."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


class Residual(nn.Module):
    """Two convolutions beside the identity (He et al., arXiv:1512.03385)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = conv_norm(channels, channels)
        self.second = nn.Sequential(nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return torch.relu(x + self.second(self.first(x)))


class _Context(nn.Module):
    """Gates channels by the mean over the whole image (squeeze and excitation, Hu et al., arXiv:1709.01507)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.Conv2d(channels, channels // 4, 1), nn.ReLU(inplace=True), nn.Conv2d(channels // 4, channels, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.gate(x.mean(dim=(2, 3), keepdim=True)))


class CentreNet(nn.Module):
    """A one-stage dense detector: at stride 4, a centre heatmap per class and one box per cell.

    A small encoder to stride 16 and an additive decoder back to stride 4, after "Objects as Points" (Zhou et al.,
    arXiv:1904.07850). No anchors, no cap on the number of objects.

    Input (n, channels, h, w), h and w multiples of 16. Output (n, classes + 4, h / 4, w / 4): class logits, then the
    centre's offset from the cell's centre (x, y) and the log size (width, height), in units of the stride.
    """

    stride = 4

    def __init__(
        self, classes: int = 1, *, channels: int = 1, widths: tuple[int, int, int, int] = (16, 32, 64, 128), depth: int = 2
    ) -> None:
        super().__init__()
        w2, w4, w8, w16 = widths
        self.backbone = nn.ModuleDict(
            {
                "s2": conv_norm(channels, w2, 5, 2),
                "s4": nn.Sequential(conv_norm(w2, w4, 3, 2), Residual(w4)),
                "s8": nn.Sequential(conv_norm(w4, w8, 3, 2), *(Residual(w8) for _ in range(depth))),
                "s16": nn.Sequential(conv_norm(w8, w16, 3, 2), *(Residual(w16) for _ in range(depth)), _Context(w16)),
            }
        )
        self.up8 = nn.Conv2d(w16, w8, 1)
        self.mix8 = conv_norm(w8, w8)
        self.up4 = nn.Conv2d(w8, w4, 1)
        self.head = nn.Sequential(conv_norm(w4, w4), nn.Conv2d(w4, classes + 4, 1))
        self.classes, self.widths, self.depth = classes, widths, depth
        last = self.head[-1]
        assert isinstance(last, nn.Conv2d) and last.bias is not None
        nn.init.normal_(last.weight, std=0.01)
        nn.init.constant_(last.bias, 0.0)
        nn.init.constant_(last.bias[:classes], -3.0)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        s4 = self.backbone["s4"](self.backbone["s2"](x))
        s8 = self.backbone["s8"](s4)
        s16 = self.backbone["s16"](s8)
        s8 = self.mix8(s8 + nn.functional.interpolate(self.up8(s16), scale_factor=2.0, mode="nearest"))
        s4 = s4 + nn.functional.interpolate(self.up4(s8), scale_factor=2.0, mode="nearest")
        out: Tensor = self.head(s4)
        return out
