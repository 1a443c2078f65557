"""Networks read back from the .onnx files that `train.export` writes, to train on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from morphoscope.errors import ModelError
from morphoscope.models.runtime import read_card
from morphoscope.train.class_network import ClassNet, build_class_network
from morphoscope.train.instance_network import InstanceNet
from morphoscope.train.lite_encoder import LiteEncoder
from morphoscope.train.neighbour_network import Features, NeighbourNet
from morphoscope.train.networks import CentreNet
from morphoscope.train.patch_networks import PatchNet, build_network


def weights_of(path: Path) -> dict[str, Tensor]:
    """The weights in a file written by `train.export`, under the network's own names, in single precision."""
    graph = onnx.load(str(path)).graph
    arrays = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    for node in graph.node:  # equal weights are stored once, the others are copies of the first
        if node.op_type == "Identity" and node.input[0] in arrays:
            arrays[node.output[0]] = arrays[node.input[0]]
    single = {name: a.astype(np.float32) if a.dtype == np.float16 else a.copy() for name, a in arrays.items()}
    return {name.removeprefix("network."): torch.from_numpy(array) for name, array in single.items()}


def load_network(path: Path, *, classes: int | None = None) -> CentreNet:
    """The detector's network in a file, to train on; with another number of classes the last layer starts anew.

    Raises:
        ModelError: the file holds another kind of network.
    """
    shape, trained = _architecture(path, "CentreNet")
    network = CentreNet(classes or trained, widths=tuple(shape["widths"]), depth=shape["depth"])
    _fill(network, path, anew="head.1.")
    return network


def load_segmenter_network(path: Path, *, outputs: int, fine: int = 0) -> InstanceNet:
    """The segmenter's network in a file, to train on; layers of another number of outputs or `fine` channels start anew.

    Raises:
        ModelError: the file holds another kind of network.
    """
    shape, _ = _architecture(path, "InstanceNet")
    network = InstanceNet(width=shape["width"], outputs=outputs, fine=fine)
    anew = ("head.1.",) if shape.get("fine", 0) == fine else ("head.", "detail.", "refine.")
    _fill(network, path, anew=anew)
    return network


def load_patch_network(path: Path, *, outputs: int | None = None) -> PatchNet:
    """The network of patches in a file, to train on; with another number of outputs the last layer starts anew.

    Raises:
        ModelError: the file holds another kind of network.
    """
    shape, _ = _architecture(path, "PatchNet")
    network = build_network(
        shape["name"],
        outputs=outputs or shape["outputs"],
        channels=shape["channels"],
        input_px=shape["input_px"],
        layers=shape["layers"],
    )
    last = max(k for k, m in enumerate(network.head) if isinstance(m, nn.Conv2d))
    _fill(network, path, anew=f"head.{last}.")
    return network


def load_neighbour_network(path: Path) -> NeighbourNet:
    """The network in a model of good images, with its banks.

    Raises:
        ModelError: the file holds another kind of network.
    """
    shape, classes = _architecture(path, "NeighbourNet")
    weights = weights_of(path)
    features = Features(LiteEncoder(shape["channels"]), middle=[0.0] * shape["channels"], gain=1.0)
    banks = [weights[f"banks.{k}"] for k in range(classes)]
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


def _architecture(path: Path, wanted: str) -> tuple[dict[str, Any], int]:
    """What the card says of the network, and its number of classes."""
    card = read_card(path)
    if card.architecture.get("network") != wanted:
        raise ModelError(
            f"training can go on from a network {wanted}, {path} holds {card.architecture.get('network', 'a foreign network')}"
        )
    return dict(card.architecture), len(card.classes)


def _fill(network: nn.Module, path: Path, *, anew: str | tuple[str, ...]) -> None:
    """Take over the weights that fit; only those under `anew` may be missing."""
    weights, wanted = weights_of(path), network.state_dict()
    fits = {k: v for k, v in weights.items() if k in wanted and wanted[k].shape == v.shape}
    lost = [k for k in wanted if k not in fits and "num_batches_tracked" not in k and not k.startswith(anew)]
    if lost:
        raise ModelError(f"{path} lacks the weights {', '.join(lost[:3])}; it was written by another version")
    network.load_state_dict(fits, strict=False)
