"""Networks read back from the .onnx files that `train.export` writes, to train on."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from morphoscope.errors import ModelError
from morphoscope.models.card import ModelCard
from morphoscope.models.class_maps import CLASSES, class_outputs
from morphoscope.models.instances import CHANNELS
from morphoscope.models.runtime import read_card
from morphoscope.train.class_network import ClassNet, build_class_network
from morphoscope.train.instance_network import InstanceNet
from morphoscope.train.lite_encoder import LiteEncoder
from morphoscope.train.neighbour_network import Features, NeighbourNet
from morphoscope.train.networks import CentreNet
from morphoscope.train.patch_networks import PatchNet, build_network

Output = tuple[str, int]


def weights_of(path: Path) -> dict[str, Tensor]:
    """The weights in a file written by `train.export`, under the network's own names, in single precision."""
    graph = onnx.load(str(path)).graph
    arrays = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    for node in graph.node:  # equal weights are stored once, the others are copies of the first
        if node.op_type == "Identity" and node.input[0] in arrays:
            arrays[node.output[0]] = arrays[node.input[0]]
    single = {name: a.astype(np.float32) if a.dtype == np.float16 else a.copy() for name, a in arrays.items()}
    return {name.removeprefix("network."): torch.from_numpy(array) for name, array in single.items()}


def load_network(path: Path, *, classes: Sequence[str] | None = None) -> CentreNet:
    """The detector's network in a file, to train on; of other `classes` those of the same name go on, others start anew.

    Raises:
        ModelError: the file holds another kind of network.
    """
    shape, card = _architecture(path, "CentreNet")
    wanted = card.classes if classes is None else tuple(classes)
    network = CentreNet(len(wanted), widths=tuple(shape["widths"]), depth=shape["depth"])
    boxes = tuple(range(4))
    _fill(network, path, last=Last("head.1", (*card.classes, *boxes), (*wanted, *boxes)))
    return network


def load_segmenter_network(path: Path, *, outputs: Sequence[str] = CHANNELS, fine: int = 0) -> InstanceNet:
    """The segmenter's network in a file, to train on.

    Args:
        path: the file.
        outputs: names of the maps: `models.instances.CHANNELS`, or those of `models.class_maps.class_outputs`. Known ones go on,
            others start anew.
        fine: see `InstanceNet`; layers of another number of `fine` channels start anew.

    Raises:
        ModelError: the file holds another kind of network.
    """
    shape, card = _architecture(path, "InstanceNet")
    network = InstanceNet(width=shape["width"], outputs=len(outputs), fine=fine)
    known = class_outputs(card.classes) if card.postprocess == CLASSES else CHANNELS
    _fill(
        network,
        path,
        anew=() if shape.get("fine", 0) == fine else ("head.", "detail.", "refine."),
        last=Last("head.1", known, tuple(outputs)),
    )
    return network


def load_patch_network(path: Path, *, outputs: Sequence[Output] | None = None) -> PatchNet:
    """The network of patches in a file, to train on.

    Args:
        path: the file.
        outputs: what each logit is about, see `score_outputs`; known ones go on, others start at 0. None: those of the file.

    Raises:
        ModelError: the file holds another kind of network.
    """
    shape, card = _architecture(path, "PatchNet")
    known = score_outputs(card.classes, card.levels if card.answer == "ordinal" else 1)
    wanted = known if outputs is None else tuple(outputs)
    network = build_network(
        shape["name"],
        outputs=len(wanted),
        channels=shape["channels"],
        input_px=shape["input_px"],
        layers=shape["layers"],
    )
    number, layer = max((k, m) for k, m in enumerate(network.head) if isinstance(m, nn.Conv2d))
    assert layer.bias is not None
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    _fill(network, path, last=Last(f"head.{number}", known, wanted))
    return network


def score_outputs(classes: Sequence[str], levels: int) -> tuple[Output, ...]:
    """What each logit of a network of patches is about: a class, or (ordinal answers) a level of one."""
    return tuple((name, level) for name in classes for level in range(levels))


def load_neighbour_network(path: Path) -> NeighbourNet:
    """The network in a model of good images, with its banks.

    Raises:
        ModelError: the file holds another kind of network.
    """
    shape, card = _architecture(path, "NeighbourNet")
    weights = weights_of(path)
    features = Features(LiteEncoder(shape["channels"]), middle=[0.0] * shape["channels"], gain=1.0)
    banks = [weights[f"banks.{k}"] for k in range(len(card.classes))]
    network = NeighbourNet(features, banks, float(weights["reach"]), steepness=float(weights["steepness"]))
    _fill(network, path, anew="banks.")
    network.eval()
    return network


def load_class_network(path: Path) -> ClassNet:
    """The network of a classifier of images, with the images that it knows.

    Raises:
        ModelError: the file holds another kind of network.
    """
    shape, _ = _architecture(path, "ClassNet")
    network = build_class_network(shape)
    _fill(network, path, anew="-")
    network.eval()
    return network


def _architecture(path: Path, wanted: str) -> tuple[dict[str, Any], ModelCard]:
    """What the card says of the network, and the card."""
    card = read_card(path)
    if card.architecture.get("network") != wanted:
        raise ModelError(
            f"training can go on from a network {wanted}, {path} holds {card.architecture.get('network', 'a foreign network')}"
        )
    return dict(card.architecture), card


class Last(NamedTuple):
    """The last layer of a network: its name, what its outputs are about in the file, and what they are to be about."""

    name: str
    known: tuple[Hashable, ...]
    wanted: tuple[Hashable, ...]

    def moved(self, given: Tensor, fresh: Tensor) -> Tensor:
        """The rows of `given`, each where its output is wanted, and those of `fresh` for outputs that are not known."""
        if given.shape[1:] != fresh.shape[1:]:
            return fresh
        rows = [given[self.known.index(one)] if one in self.known else fresh[k] for k, one in enumerate(self.wanted)]
        return torch.stack(rows)


def _fill(network: nn.Module, path: Path, *, anew: str | tuple[str, ...] = (), last: Last | None = None) -> None:
    """Take over the weights that fit, those of the last layer by what its outputs are about; only those under `anew` may miss."""
    weights, wanted = weights_of(path), network.state_dict()
    if last:
        for name in (f"{last.name}.weight", f"{last.name}.bias"):
            weights[name] = last.moved(weights[name], wanted[name])
    fits = {k: v for k, v in weights.items() if k in wanted and wanted[k].shape == v.shape}
    lost = [k for k in wanted if k not in fits and "num_batches_tracked" not in k and not k.startswith(anew)]
    if lost:
        raise ModelError(f"{path} lacks the weights {', '.join(lost[:3])}; it was written by another version")
    network.load_state_dict(fits, strict=False)
