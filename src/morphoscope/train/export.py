"""Trained networks to one .onnx file with its card, and back to weights."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn

from morphoscope.errors import ModelError
from morphoscope.models.card import KEY, ModelCard
from morphoscope.models.runtime import load_session
from morphoscope.train.networks import CentreNet


class _Peaks(nn.Module):
    def __init__(self, network: CentreNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        output = self.network(x)
        heat = torch.sigmoid(output[:, : self.network.classes])
        highest = nn.functional.max_pool2d(heat, 3, 1, 1)
        return torch.where(heat == highest, heat, torch.zeros_like(heat)), output[:, self.network.classes :]


def export_detector(network: CentreNet, card: ModelCard, path: Path) -> None:
    """Write a detector to one .onnx file, weights and card inside, and check that it gives PyTorch's outputs.

    Outputs of the file: `peaks` (n, classes, h / 4, w / 4), 0 off the local maxima, and `boxes` (n, 4, h / 4, w / 4).
    Weights keep their names, batch norms are not folded, so training can go on from the file.

    Raises:
        ModelError: the file's outputs differ from the network's by more than 1e-3.
    """
    wrapped = _Peaks(network.eval().to(memory_format=torch.contiguous_format)).eval()
    example = torch.randn(1, 1, 64, 96, generator=torch.Generator().manual_seed(0))
    free = {0: "n", 2: "h", 3: "w"}
    _export(wrapped, example, card, path, axes={"image": free, "peaks": free, "boxes": free}, check=_same_peaks)


def export_reader(network: nn.Module, card: ModelCard, path: Path) -> None:
    """Write a text reader to one .onnx file: `line` (n, 1, 32, w), w a multiple of 4, to `logits` (n, w / 4, letters + 1).

    Raises:
        ModelError: the file's outputs differ from the network's by more than 1e-3.
    """
    wrapped = network.eval().to(memory_format=torch.contiguous_format)
    example = torch.randn(2, 1, 32, 96, generator=torch.Generator().manual_seed(0))
    axes = {"line": {0: "n", 3: "w"}, "logits": {0: "n", 1: "steps"}}
    _export(wrapped, example, card, path, axes=axes, check=_same_values)


def export_segmenter(network: nn.Module, card: ModelCard, path: Path) -> None:
    """Write a segmenter to one .onnx file: `image` (n, 1, h, w), sides multiples of 32, to `maps` (n, 6, h / 2, w / 2).

    Raises:
        ModelError: the file's outputs differ from the network's by more than 1e-3.
    """
    wrapped = network.eval().to(memory_format=torch.contiguous_format)
    example = torch.randn(1, 1, 64, 96, generator=torch.Generator().manual_seed(0))
    free = {0: "n", 2: "h", 3: "w"}
    _export(wrapped, example, card, path, axes={"image": free, "maps": free}, check=_same_values)


Outputs = Sequence[NDArray[np.float32]]


def _export(
    wrapped: nn.Module,
    example: Tensor,
    card: ModelCard,
    path: Path,
    *,
    axes: dict[str, dict[int, str]],
    check: Callable[[Outputs, Outputs], float],
) -> None:
    """Write a module under the names in `axes` (the input first) and put it in place if `check` finds it within 1e-3."""
    buffer = io.BytesIO()
    names = list(axes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter that keeps batch norms apart is marked as the older one
        torch.onnx.export(
            wrapped,
            (example,),
            buffer,
            input_names=names[:1],
            output_names=names[1:],
            opset_version=17,
            dynamo=False,
            dynamic_axes=axes,
            do_constant_folding=False,
            training=torch.onnx.TrainingMode.PRESERVE,
        )
    model = onnx.load_from_string(buffer.getvalue())
    onnx.helper.set_model_props(model, {KEY: card.model_dump_json()})
    onnx.checker.check_model(model)
    temporary = path.with_name(f".{path.name}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, temporary)
    try:
        with torch.inference_mode():
            output = wrapped(example)
        wanted = [x.numpy() for x in (output if isinstance(output, tuple) else (output,))]
        worst = check(wanted, load_session(temporary, threads=1).run(example.numpy()))
        if worst > 1e-3:
            raise ModelError(f"the exported model differs from the trained one by {worst:.2g}; nothing was written")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _same_values(wanted: Outputs, got: Outputs) -> float:
    return float(max(np.abs(a - b).max() for a, b in zip(wanted, got, strict=True)))


def _same_peaks(wanted: Outputs, got: Outputs) -> float:
    """The greatest difference; infinite where too many peaks lie elsewhere.

    A cell may be a peak in one and not in the other where two neighbours are equal but for rounding.
    """
    both = (wanted[0] > 0) & (got[0] > 0)
    if ((wanted[0] > 0) == (got[0] > 0)).mean() < 0.99:
        return float("inf")
    return float(max(np.abs(wanted[1] - got[1]).max(), np.abs(wanted[0] - got[0])[both].max(initial=0.0)))


def weights_of(path: Path) -> dict[str, Tensor]:
    """The weights in a file written by `export_detector`, under the network's own names."""
    initialisers = onnx.load(str(path)).graph.initializer
    return {t.name.removeprefix("network."): torch.from_numpy(numpy_helper.to_array(t).copy()) for t in initialisers}


def load_network(path: Path, *, classes: int | None = None) -> CentreNet:
    """The network in a file, to train on; with another number of classes the last layer starts anew.

    Raises:
        ModelError: the file holds another kind of network.
    """
    card = load_session(path, threads=1).card
    if card.architecture.get("network") != "CentreNet":
        raise ModelError(
            f"training can go on from a CentreNet, {path} holds {card.architecture.get('network', 'a foreign network')}"
        )
    shape: dict[str, Any] = {k: v for k, v in card.architecture.items() if k in ("widths", "depth")}
    network = CentreNet(classes or len(card.classes), widths=tuple(shape["widths"]), depth=shape["depth"])
    weights, wanted = weights_of(path), network.state_dict()
    fits = {k: v for k, v in weights.items() if k in wanted and wanted[k].shape == v.shape}
    lost = [k for k in wanted if k not in fits and "num_batches_tracked" not in k and not k.startswith("head.1.")]
    if lost:
        raise ModelError(f"{path} lacks the weights {', '.join(lost[:3])}; it was written by another version")
    network.load_state_dict(fits, strict=False)
    return network
