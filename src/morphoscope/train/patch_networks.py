"""Networks that score patches of a film; the unpadded ones score all patches of a larger image in one pass.

The published ones are the darkfield network of DeepThin and its two variants for cracks in roads (Taherimakhsousi et al., npj
Comput. Mater. 6, 111 (2020), doi:10.1038/s41524-020-00380-w), and those it is compared with: ConvNets (Zhang et al., ICIP 2016,
doi:10.1109/ICIP.2016.7533052) and the CNN with structured outputs of Fan et al. (arXiv:1802.02208).

The text of DeepThin says that its convolutions are padded with zeros and that a vector of 2000 values goes into the dense layers.
Its own counts contradict that: 80 386 parameters for grey patches of 50 px and 34 306 for 27 px come about with unpadded
convolutions alone, which leave 9 x 9 x 32 = 2592 and 3 x 3 x 32 = 288 values. The counts are followed here.

Only the layers are as published. `score_loop` trains all networks alike: AdamW with weight decay, a rate that is warmed up and
let down, bfloat16, and the moving average of the weights; not Adam at 1e-3, a squared penalty and 11 epochs, as DeepThin was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from morphoscope.errors import UsageError

FILM_LAYERS = "32 32 / 64 64 / 96 96 / 128 128"
DROPOUT = 0.25


class PatchNet(nn.Module):
    """Logits of a patch, or of all patches of an image.

    Input (n, channels, h, w), h and w at least `input_px`. Output (n, outputs, rows, columns): 1 x 1 for a patch. Where `dense`,
    larger inputs give the logits of the patches that begin at every `pool`-th px; padded networks (not `dense`) see zeros
    beyond a patch, so for them only patches mean anything.
    """

    cellular = False  # whether it answers cell by cell, see `cell_network`

    def __init__(
        self,
        name: str,
        features: nn.Sequential,
        head: nn.Sequential,
        *,
        channels: int,
        input_px: int,
        layers: str = "",
    ) -> None:
        super().__init__()
        self.features, self.head = features, head
        self.name, self.channels, self.input_px, self.layers = name, channels, input_px, layers
        convolutions = [m for m in self.modules() if isinstance(m, nn.Conv2d)]
        self.outputs: int = convolutions[-1].out_channels
        self.dense = all(m.padding == (0, 0) for m in convolutions)
        self.pool = 2 ** sum(isinstance(m, nn.MaxPool2d) for m in features)
        for m in convolutions:
            nn.init.kaiming_normal_(m.weight, nonlinearity="relu")
            if m.bias is not None:
                nn.init.zeros_(m.bias)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        out: Tensor = self.head(self.features(x))
        return out

    def of_patches(self, x: Tensor, answer: str) -> Tensor:
        """Logits (n, outputs, rows, columns) of the patches in what training shows; `answer` as on a model card."""
        out: Tensor = self(x)
        return out

    @property
    def parameter_count(self) -> int:
        """Number of weights and biases that are learnt."""
        return sum(p.numel() for p in self.parameters())

    def architecture(self) -> dict[str, Any]:
        """What a model card keeps so that `build_network` makes the network again."""
        return {
            "network": "PatchNet",
            "name": self.name,
            "outputs": self.outputs,
            "channels": self.channels,
            "input_px": self.input_px,
            "layers": self.layers,
        }


@dataclass(frozen=True)
class _Kind:
    """How a network is built: of its channels in, the side of its input, what its layers are, its outputs."""

    channels: int
    input_px: int
    features: Callable[[int, int, str], nn.Sequential]
    head: Callable[[int, int, int], nn.Sequential]
    layers: str = ""


def build_network(
    name: str,
    *,
    outputs: int,
    channels: int | None = None,
    input_px: int | None = None,
    layers: str | None = None,
) -> PatchNet:
    """A network of `NETWORKS` with fresh weights.

    Args:
        name: `film` (ours: batch norm, mean of the features over the patch), `cells` (ours, colour, 128 px: the mean of what each
            cell of 8 px answers in the light of its surroundings, see `cell_network`), `deepthin` (darkfield, colour, 50 px),
            `deepthin-road-50`, `deepthin-road-27` (grey), `convnet` (Zhang 2016, colour, 99 px), `crackcnn` (Fan 2018, colour,
            27 px, padded; published with 25 outputs for 5 x 5 px), `lite` (pretrained, see `train.lite_patches`).
        outputs: number of logits.
        channels: 1 or 3; None for the published.
        input_px: side of a patch; None for the published. The first dense layer takes what the convolutions leave of it.
        layers: of `film` and `cells`: the channels of its 3 x 3 convolutions, and `/` where it pools, such as "32 32 / 64 64"; of
            `film`, what a patch has no room for is left out. None for its own.

    Raises:
        UsageError: no such network, or a patch too small for its layers.
    """
    if name == "lite":
        from morphoscope.train.lite_patches import LITE_PX, build_lite

        return build_lite(outputs=outputs, channels=channels or 1, input_px=input_px or LITE_PX)
    if name == "cells":
        from morphoscope.train.cell_network import CELL_LAYERS, CELLS_PX, build_cells

        return build_cells(outputs=outputs, channels=channels or 3, input_px=input_px or CELLS_PX, layers=layers or CELL_LAYERS)
    if name not in NETWORKS:
        raise UsageError(f"wanted one of the networks {', '.join(NETWORKS)}, got {name!r}")
    kind = _KINDS[name]
    channels, side = channels or kind.channels, input_px or kind.input_px
    layers = layers or kind.layers
    features = kind.features(channels, side, layers)
    left = side_left(features, side)
    if left < 1:
        least = next(n for n in range(side, 10_000) if side_left(kind.features(channels, n, layers), n) >= 1)
        raise UsageError(f"the network {name} needs patches of at least {least} px, got {side} px")
    width = [m for m in features if isinstance(m, nn.Conv2d)][-1].out_channels
    return PatchNet(name, features, kind.head(width, left, outputs), channels=channels, input_px=side, layers=layers)


def side_left(features: nn.Sequential, side: int) -> int:
    """Side of what convolutions and poolings leave of a square of `side` px; 0 or less where it is too small for them."""
    for m in features:
        if isinstance(m, nn.Conv2d):
            side += 2 * int(m.padding[0]) - m.kernel_size[0] + 1
        elif isinstance(m, nn.MaxPool2d):
            side = -(-side // 2) if m.ceil_mode else side // 2
        if side < 1:
            return side
    return side


def _relu_stack(channels: int, layers: tuple[tuple[int, ...] | None, ...], *, padding: int = 0) -> Iterator[nn.Module]:
    """Convolutions (kernel, width) with ReLU; None is a 2 x 2 pooling."""
    for layer in layers:
        if layer is None:
            yield nn.MaxPool2d(2, ceil_mode=padding > 0)
            continue
        yield nn.Conv2d(channels, layer[1], layer[0], padding=padding)
        yield nn.ReLU(inplace=True)
        channels = layer[1]


def _deepthin(channels: int, side: int, layers: str) -> nn.Sequential:
    block = ((3, 32), (3, 32), None)
    return nn.Sequential(*_relu_stack(channels, (*block, *block)))


def _convnet(channels: int, side: int, layers: str) -> nn.Sequential:
    return nn.Sequential(*_relu_stack(channels, ((4, 48), None, (5, 48), None, (3, 48), None, (4, 48), None)))


def _crackcnn(channels: int, side: int, layers: str) -> nn.Sequential:
    return nn.Sequential(*_relu_stack(channels, ((3, 16), (3, 16), (3, 16), None, (3, 32), (3, 32), None), padding=1))


def _film(channels: int, side: int, layers: str) -> nn.Sequential:
    """Convolutions with batch norm as long as the patch has room for them."""
    built: list[nn.Module] = []
    for layer in layers.split():
        if built and side < (6 if layer == "/" else 3):  # a pooling that leaves no room for a convolution is none
            break
        if layer == "/":
            built.append(nn.MaxPool2d(2))
            side //= 2
            continue
        width = int(layer)
        built += [nn.Conv2d(channels, width, 3, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
        channels, side = width, side - 2
    return nn.Sequential(*built)


def _dense_head(*widths: int) -> Callable[[int, int, int], nn.Sequential]:
    def head(width: int, side: int, outputs: int) -> nn.Sequential:
        layers: list[nn.Module] = []
        for k, wider in enumerate(widths):
            kernel, inputs = (side, width) if k == 0 else (1, widths[k - 1])
            layers += [nn.Dropout(DROPOUT), nn.Conv2d(inputs, wider, kernel), nn.ReLU(inplace=True)]
        return nn.Sequential(*layers, nn.Conv2d(widths[-1], outputs, 1))

    return head


def _mean_head(width: int, side: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.AvgPool2d(side, stride=1), nn.Dropout(DROPOUT), nn.Conv2d(width, outputs, 1))


_KINDS = {
    "film": _Kind(3, 50, _film, _mean_head, layers=FILM_LAYERS),
    "deepthin": _Kind(3, 50, _deepthin, _dense_head(20, 20)),
    "deepthin-road-50": _Kind(1, 50, _deepthin, _dense_head(20, 20)),
    "deepthin-road-27": _Kind(1, 27, _deepthin, _dense_head(20, 20)),
    "convnet": _Kind(3, 99, _convnet, _dense_head(200)),
    "crackcnn": _Kind(3, 27, _crackcnn, _dense_head(64, 64)),
}
NETWORKS = (*_KINDS, "cells")
"""Names that `build_network` knows; the first is the default."""
