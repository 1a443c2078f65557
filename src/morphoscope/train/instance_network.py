"""The network of a segmenter: maps of particles or of classes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from morphoscope.models.instances import CHANNELS as OUTPUTS
from morphoscope.train.lite_encoder import CHANNELS, LiteEncoder


def _mix(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class InstanceNet(nn.Module):
    """Maps of particles or classes at stride 2, or at full resolution; no cap on the number of objects.

    An EfficientNet-Lite0 encoder and an additive decoder (feature pyramid, Lin et al., arXiv:1612.03144).

    Input (n, 1, h, w), h and w multiples of 32. Output (n, outputs, h / cell, w / cell): those of
    `models.instances.CHANNELS` (logits of foreground, border and core, logit of the centre, and the way to the centre (x, y) in
    units of 32 output px), or the logits of background and classes, see `models.class_maps`. `cell` is 2; with `fine` channels
    of a last level, which sees each px of the image, it is 1.
    """

    def __init__(self, *, width: int = 32, outputs: int = len(OUTPUTS), fine: int = 0) -> None:
        super().__init__()
        self.backbone = LiteEncoder()
        widths = (width, width, 2 * width, 3 * width, 3 * width)
        self.sides = nn.ModuleList(nn.Conv2d(c, w, 1) for c, w in zip(CHANNELS, widths, strict=True))
        self.mixes = nn.ModuleList(_mix(widths[min(k + 1, 4)], widths[k]) for k in range(5))
        if fine:
            self.detail = nn.Sequential(_mix(1, fine), _mix(fine, fine))
            self.refine = _mix(width, fine)
        self.head = nn.Sequential(_mix(fine or width, fine or width), nn.Conv2d(fine or width, outputs, 1))
        self.width, self.fine, self.cell = width, fine, 1 if fine else 2

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        maps = [side(part) for side, part in zip(self.sides, self.backbone(x), strict=True)]
        out = maps[4]
        out = out + self.mixes[4](out)
        for k in (3, 2, 1, 0):
            out = maps[k] + nn.functional.interpolate(self.mixes[k](out), scale_factor=2.0, mode="nearest")
        out = torch.relu(out)
        if self.fine:
            coarse = nn.functional.interpolate(self.refine(out), scale_factor=2.0, mode="bilinear", align_corners=False)
            out = coarse + self.detail(x)
        result: Tensor = self.head(out)
        return result
