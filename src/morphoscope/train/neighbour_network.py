"""The network of an anomaly map: pretrained features and their distance to the nearest of those known to be good."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from morphoscope.train.lite_encoder import BLOCKS, LiteEncoder

CELL = 8  # px of the input per cell of the map
TAKEN = (4, 7)  # blocks of the encoder whose outputs are the features: the last of stride 8, and the third of stride 16
WIDTH = sum(BLOCKS[k][1] for k in TAKEN)


class Features(nn.Module):
    """Features (n, `WIDTH`, h / 8, w / 8) of an image (n, channels, h, w), h and w multiples of 16.

    Outputs of two blocks of an encoder that know textures and not yet objects, each the mean of 3 x 3 cells, after PatchCore
    (Roth et al., CVPR 2022, arXiv:2106.08265, section 3.1). The image comes as 0..1 (`unit-1`); it is shifted and stretched by
    one amount for all images, so that good ones have the mean 0 and the spread the encoder has learnt.

    Args:
        encoder: a trained one.
        middle: mean (channels,) of good images.
        gain: what differences from it are multiplied by.
    """

    def __init__(self, encoder: LiteEncoder, *, middle: Sequence[float], gain: float) -> None:
        super().__init__()
        self.stem, self.blocks = encoder.stem, encoder.blocks[: TAKEN[-1] + 1]
        self.register_buffer("middle", torch.tensor(middle, dtype=torch.float32)[:, None, None])
        self.register_buffer("gain", torch.tensor([gain], dtype=torch.float32))

    @property
    def channels(self) -> int:
        """1 for grey images, 3 for colour."""
        return int(self.middle.shape[0])

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        x = self.stem((x - self.middle) * self.gain)
        taken = []
        for k, block in enumerate(self.blocks):
            x = block(x)
            if k in TAKEN:
                taken.append(nn.functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False))
        fine, coarse = taken
        enlarged = nn.functional.interpolate(coarse, scale_factor=2.0, mode="bilinear", align_corners=False)
        return torch.cat([fine, enlarged], dim=1)


class NeighbourNet(nn.Module):
    """Logits of an anomaly, and of each defect that was taught, in each cell of an image.

    Input (n, channels, h, w), sides multiples of 16. Output (n, 1 + defects, h / 8, w / 8): `steepness` times the logarithm of a
    ratio of distances. For the anomaly: of the distance to the nearest good features over `reach`, or the highest of the
    defects where that is more. For a defect: of the distance to the nearest features of anything else over that to its own.

    Args:
        features: the encoder.
        banks: features (m, WIDTH) of good images, then of each defect.
        reach: distance from the good ones at which an anomaly begins.
        steepness: of the logits.
    """

    def __init__(self, features: Features, banks: Sequence[Tensor], reach: float, *, steepness: float) -> None:
        super().__init__()
        self.features = features
        self.banks = nn.ParameterList(nn.Parameter(bank, requires_grad=False) for bank in banks)
        self.register_buffer("reach", torch.tensor([float(reach)]))
        self.register_buffer("steepness", torch.tensor([float(steepness)]))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        features = self.features(x)
        n, _, rows, columns = features.shape
        cells = features.flatten(2).transpose(1, 2)
        near = [squared_distances(cells, bank, least=1e-3 * self.reach**2) for bank in self.banks]
        anomaly, defects = self._logit(near[0], self.reach**2), []
        for k in range(1, len(near)):
            others = torch.stack([one for j, one in enumerate(near) if j != k]).amin(dim=0)
            defects.append(self._logit(others, near[k]))
            anomaly = torch.maximum(anomaly, defects[-1])
        return torch.stack([anomaly, *defects], dim=1).reshape(n, 1 + len(defects), rows, columns)

    def _logit(self, square: Tensor, reference: Tensor) -> Tensor:
        return self.steepness / 2 * (torch.log(square) - torch.log(reference))


def squared_distances(cells: Tensor, bank: Tensor, *, least: Tensor | float = 0.0) -> Tensor:
    """Square (n, m) of the distance of each of the features (n, m, d) to the nearest of a bank (b, d), at least `least`."""
    squares = (cells * cells).sum(dim=2) + ((bank * bank).sum(dim=1) - 2 * cells @ bank.T).amin(dim=2)
    return torch.maximum(squares, torch.as_tensor(least))
