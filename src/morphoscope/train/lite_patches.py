"""The network `lite`: pretrained features of a patch, of which only a last layer is learnt, from few images in little time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor, nn

from morphoscope.models.card import DataSource, shipped_models
from morphoscope.models.runtime import read_card
from morphoscope.train.lite_encoder import CHANNELS, STAGE_ENDS, LiteEncoder
from morphoscope.train.patch_networks import PatchNet
from morphoscope.train.score_loop import Held, loss_of
from morphoscope.train.score_pictures import Array
from morphoscope.train.trained import load_segmenter_network

LITE = "lite"
PRETRAINED = "particles"  # the shipped model whose encoder is taken
STAGES = (1, 2, 3)  # strides 4, 8 and 16
LITE_PX = 192  # side of the input
TINY = 1e-4
STRENGTHS = tuple(float(x) for x in np.geomspace(1e-4, 1e-1, 7))  # of the penalty on the last layer's weights
USUAL = 1e-2  # where there is no validation to choose it
CHUNK = 16


class Moments(nn.Module):
    """Mean and standard deviation over a patch of its own values and of the maps of an encoder: (n, features, 1, 1).

    The encoder, the part of `LiteEncoder` down to stride 16, sees the mean of the colours.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        whole = LiteEncoder()
        self.stem, self.blocks = whole.stem, whole.blocks[: STAGE_ENDS[STAGES[-1]] + 1]
        self.register_buffer(
            "scaling", torch.tensor((4.0, -2.0))
        )  # values of 0 to 1 to about the scale that the encoder has learnt
        self.width = 2 * (channels + sum(CHANNELS[k] for k in STAGES))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        maps, ends = [x], {STAGE_ENDS[k] for k in STAGES}
        y = self.stem(x.mean(dim=1, keepdim=True) * self.scaling[0] + self.scaling[1])
        for k, block in enumerate(self.blocks):
            y = block(y)
            if k in ends:
                maps.append(y)
        means = [m.mean(dim=(2, 3), keepdim=True) for m in maps]
        squares = [(m * m).mean(dim=(2, 3), keepdim=True) - mean * mean for m, mean in zip(maps, means, strict=True)]
        return torch.cat([*means, *((s.clamp(min=0) + TINY).sqrt() for s in squares)], dim=1)


class Standardise(nn.Module):
    """Features (n, c, 1, 1) less their mean over their spread in what is learnt."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("middle", torch.zeros(1, width, 1, 1))
        self.register_buffer("spread", torch.ones(1, width, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        out: Tensor = (x - self.middle) / self.spread
        return out


def build_lite(*, outputs: int, channels: int, input_px: int, robust: bool = False) -> PatchNet:
    """The network with the encoder of the shipped model `particles` and a fresh last layer.

    Args:
        outputs: number of logits.
        channels: 1 or 3.
        input_px: side of a patch.
        robust: inputs are scaled by `robust-rgb-1`, as those of the encoder were, and not by `unit-1`.
    """
    moments = Moments(channels)
    head = nn.Sequential(Standardise(moments.width), nn.Conv2d(moments.width, outputs, 1))
    network = PatchNet(LITE, nn.Sequential(moments), head, channels=channels, input_px=input_px)
    pretrained = load_segmenter_network(shipped_models()[PRETRAINED]).backbone
    moments.load_state_dict(pretrained.state_dict(), strict=False)
    if robust:
        moments.scaling.copy_(torch.tensor((1.0, 0.0)))
    network.requires_grad_(False)
    network.eval()
    return network


@cache
def pretrained_sources() -> tuple[DataSource, ...]:
    """What the encoder has learnt."""
    return read_card(shipped_models()[PRETRAINED]).data


def features_of(network: PatchNet, patches: Array) -> Array:
    """Features (n, c) of patches (n, channels, s, s)."""
    features, parts = network.features.to(memory_format=torch.channels_last), []
    with torch.inference_mode():
        for first in range(0, len(patches), CHUNK):
            some = torch.from_numpy(patches[first : first + CHUNK])
            parts.append(features(some.contiguous(memory_format=torch.channels_last))[:, :, 0, 0])
    return np.asarray(torch.cat(parts).numpy(), np.float32)


@dataclass(frozen=True)
class Learnt:
    """Features (n, c) that are learnt, their targets (n, k) and weights (n,).

    `shift` (outputs,) is what logits learnt with these weights are too high by.
    """

    features: Array
    targets: Array
    weights: Array
    shift: Array | float = 0.0


@dataclass(frozen=True)
class Layer:
    """A last layer on features as they are: weights (outputs, c) and biases (outputs,)."""

    weight: Tensor
    bias: Tensor


def last_layer(network: PatchNet) -> Layer:
    """The last layer of a network of `build_lite`."""
    standard, last = network.head[0], network.head[-1]
    weight = (last.weight.detach() / standard.spread)[:, :, 0, 0]
    return Layer(weight, last.bias.detach() - weight @ standard.middle[0, :, 0, 0])


def fit_head(
    network: PatchNet,
    learnt: Learnt,
    *,
    answer: str,
    levels: int,
    held: Held | None = None,
    strength: float | None = None,
    start: Layer | None = None,
) -> float:
    """Learn the last layer, a regression with a squared penalty on its weights, and give the penalty's strength.

    Args:
        network: of `build_lite`; its last layer is changed.
        learnt: what is learnt.
        answer, levels: as on the card.
        held: features (n, c) and targets that are not learnt: the strength with the least loss on them is taken.
        strength: that, where it is known; None with no `held` for `USUAL`.
        start: a layer that has learnt before: the penalty is then on what differs from it (Li et al., arXiv:1802.01483).
    """
    standard, last = network.head[0], network.head[-1]
    standard.middle.copy_(torch.from_numpy(learnt.features.mean(axis=0))[None, :, None, None])
    standard.spread.copy_(torch.from_numpy(learnt.features.std(axis=0) + 1e-3)[None, :, None, None])

    def scaled(features: Array) -> Tensor:
        out: Tensor = standard(torch.from_numpy(features)[:, :, None, None])[:, :, 0, 0]
        return out

    seen, tried = scaled(learnt.features), [strength or USUAL] if held is None else list(STRENGTHS)
    begin = None if start is None else _on_scaled(start, standard)
    found = [_regress(seen, learnt, last.out_channels, answer, levels, one, begin) for one in tried]
    lower = torch.as_tensor(learnt.shift, dtype=torch.float32)
    found = [(w, b - lower) for w, b in found]
    best = 0
    if held is not None:
        features, targets = scaled(held[0]), torch.from_numpy(held[1])
        best = int(np.argmin([float(loss_of(features @ w.T + b, targets, answer, levels).mean()) for w, b in found]))
    weight, bias = found[best]
    last.weight.copy_(weight[:, :, None, None])
    last.bias.copy_(bias)
    return tried[best]


def _on_scaled(layer: Layer, standard: Standardise) -> Layer:
    """The same layer on features that are standardised."""
    return Layer(layer.weight * standard.spread[0, :, 0, 0], layer.bias + layer.weight @ standard.middle[0, :, 0, 0])


def _regress(
    seen: Tensor, learnt: Learnt, outputs: int, answer: str, levels: int, strength: float, start: Layer | None
) -> tuple[Tensor, Tensor]:
    """Weights (outputs, c) and biases (outputs,) with the least loss."""
    first = start or Layer(torch.zeros(outputs, seen.shape[1]), torch.zeros(outputs))
    weight, bias = first.weight.clone().requires_grad_(), first.bias.clone().requires_grad_()
    targets, share = torch.from_numpy(learnt.targets), torch.from_numpy(learnt.weights)
    optimiser = torch.optim.LBFGS([weight, bias], max_iter=80, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        value = (loss_of(seen @ weight.T + bias, targets, answer, levels) * share).mean() + strength * (
            (weight - first.weight) ** 2
        ).sum()
        value.backward()
        return value

    optimiser.step(loss)
    return weight.detach(), bias.detach()
