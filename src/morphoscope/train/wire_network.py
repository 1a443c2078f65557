"""The network of the model `wires`: where wires are, how they run, and whether they are coherently aligned."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from morphoscope.models.wire_maps import CHANNELS
from morphoscope.train.networks import Residual, conv_norm


class WireNet(nn.Module):
    """Maps of wires at stride 2: a small encoder to stride 16, and an additive decoder back (arXiv:1612.03144).

    Input (n, 1, h, w), h and w multiples of 16. Output (n, 4, h / 2, w / 2): those of `models.wire_maps.CHANNELS`, the first and
    the last as logits. An answer depends on at most 192 px to each side, more than the neighbourhood of
    `measure.alignment`.
    """

    stride = 2

    def __init__(self, *, widths: tuple[int, int, int, int] = (24, 32, 48, 64), depth: int = 2) -> None:
        super().__init__()
        w2, w4, w8, w16 = widths
        self.s2 = conv_norm(1, w2, 5, 2)
        self.s4 = nn.Sequential(conv_norm(w2, w4, 3, 2), Residual(w4))
        self.s8 = nn.Sequential(conv_norm(w4, w8, 3, 2), *(Residual(w8) for _ in range(depth)))
        self.s16 = nn.Sequential(conv_norm(w8, w16, 3, 2), *(Residual(w16) for _ in range(depth + 1)))
        self.up8, self.mix8 = nn.Conv2d(w16, w8, 1), Residual(w8)
        self.up4, self.mix4 = nn.Conv2d(w8, w4, 1), Residual(w4)
        self.up2, self.mix2 = nn.Conv2d(w4, w2, 1), conv_norm(w2, w2)
        self.head = nn.Conv2d(w2, len(CHANNELS), 1)
        self.widths, self.depth = widths, depth

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        s2 = self.s2(x)
        s4 = self.s4(s2)
        s8 = self.s8(s4)
        s8 = self.mix8(torch.relu(s8 + _larger(self.up8(self.s16(s8)))))
        s4 = self.mix4(torch.relu(s4 + _larger(self.up4(s8))))
        s2 = self.mix2(torch.relu(s2 + _larger(self.up2(s4))))
        out: Tensor = self.head(s2)
        return out


def _larger(x: Tensor) -> Tensor:
    return nn.functional.interpolate(x, scale_factor=2.0, mode="nearest")
