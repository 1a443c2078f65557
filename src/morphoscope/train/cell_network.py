"""The network `cells`: what each cell of an image is, told by what lies far around it too.

Bare ground and an even film look alike from near: which is which is told by edges elsewhere in the picture. So beside the
features of a cell are those of a U-Net (Ronneberger et al., MICCAI 2015, doi:10.1007/978-3-319-24574-4_28) that goes on from
them to coarser maps and back, with sums in place of joined maps.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from morphoscope.errors import UsageError
from morphoscope.train.patch_networks import DROPOUT, PatchNet

CELLS = "cells"
CELLS_PX = 128  # side of a patch
CELL_LAYERS = "16 16 / 32 32 / 64 64 64 / 128 128 128"
WIDER, AROUND = 3, 96  # poolings beyond the cells, and channels there
LEAST_SHARE = 1e-5  # that a patch answers


class Around(nn.Module):
    """Features of cells (n, width, h, w), and `AROUND` more that know what lies around them; h, w multiples of 2**`WIDER`."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.narrow = nn.Sequential(*_convolution(width, AROUND, kernel=1))
        self.down = nn.ModuleList(
            nn.Sequential(nn.MaxPool2d(2), *_convolution(AROUND, AROUND), *_convolution(AROUND, AROUND)) for _ in range(WIDER)
        )
        self.up = nn.ModuleList(nn.Sequential(*_convolution(AROUND, AROUND)) for _ in range(WIDER))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        seen = [self.narrow(x)]
        for down in self.down:
            seen.append(down(seen[-1]))
        wide = seen.pop()
        for up in self.up:
            wide = up(seen.pop() + nn.functional.interpolate(wide, scale_factor=2.0, mode="nearest"))
        return torch.cat([x, wide], dim=1)


class CellNet(PatchNet):
    """Logits of the cells of an image: (n, channels, h, w) to (n, outputs, h / `pool`, w / `pool`).

    h and w are multiples of `align`; what lies beyond the image is seen as zeros. A patch is `input_px` wide; what is said of it
    is the mean over its cells.
    """

    cellular = True

    @property
    def align(self) -> int:
        """Px of the coarsest map's step."""
        return int(self.pool * 2**WIDER)

    def of_patches(self, x: Tensor, answer: str) -> Tensor:
        """Logits (n, outputs, rows, columns) of patches half their side apart, of the means of their cells' probabilities."""
        side, cells = self.input_px // self.pool, self(x).float()

        def mean(share: Tensor) -> Tensor:
            return nn.functional.avg_pool2d(share, side, stride=max(side // 2, 1)).clamp(min=LEAST_SHARE).log()

        if answer == "exclusive":
            return mean(torch.softmax(cells, dim=1))
        return mean(torch.sigmoid(cells)) - mean(torch.sigmoid(-cells))


def build_cells(*, outputs: int, channels: int = 3, input_px: int = CELLS_PX, layers: str = CELL_LAYERS) -> CellNet:
    """The network with fresh weights: see `patch_networks.build_network`.

    Raises:
        UsageError: a patch that is no multiple of what the coarsest map steps by.
    """
    built: list[nn.Module] = []
    before = channels
    for layer in layers.split():
        if layer == "/":
            built.append(nn.MaxPool2d(2))
            continue
        built += _convolution(before, int(layer))
        before = int(layer)
    features = nn.Sequential(*built, Around(before))
    head = nn.Sequential(nn.Dropout(DROPOUT), nn.Conv2d(before + AROUND, outputs, 1))
    network = CellNet(CELLS, features, head, channels=channels, input_px=input_px, layers=layers)
    if input_px % network.align:
        raise UsageError(f"the network {CELLS} needs patches of a multiple of {network.align} px, got {input_px} px")
    return network


def _convolution(before: int, width: int, *, kernel: int = 3) -> list[nn.Module]:
    """A padded convolution with batch norm."""
    convolution = nn.Conv2d(before, width, kernel, padding=kernel // 2, bias=False)
    return [convolution, nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
