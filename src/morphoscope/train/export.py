"""Trained networks to one .onnx file with its card (`train.trained` reads them back)."""

from __future__ import annotations

import io
import os
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from morphoscope.errors import ModelError
from morphoscope.models.card import KEY, ModelCard
from morphoscope.models.image_view import STANDARD
from morphoscope.models.runtime import load_session
from morphoscope.models.score import CELLS, SCORES
from morphoscope.train.backbones import Backbone
from morphoscope.train.class_network import ClassNet
from morphoscope.train.neighbour_network import NeighbourNet
from morphoscope.train.networks import CentreNet
from morphoscope.train.patch_networks import PatchNet
from morphoscope.train.wire_network import WireNet


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
    """Write a segmenter to one .onnx file: `image` (n, 1, h, w), sides multiples of 32, to `maps` (n, k, h / cell, w / cell).

    The weights of convolutions are stored in half precision, computing stays in single precision. The network's own are
    rounded in place, so that the file holds them exactly.

    Raises:
        ModelError: the file's outputs differ from the network's by more than 1e-3.
    """
    wrapped = network.eval().to(memory_format=torch.contiguous_format)
    round_to_half(wrapped)
    example = torch.randn(1, 1, 64, 96, generator=torch.Generator().manual_seed(0))
    free = {0: "n", 2: "h", 3: "w"}
    _export(wrapped, example, card, path, axes={"image": free, "maps": free}, check=_same_values, half=True)


def export_orienter(network: WireNet, card: ModelCard, path: Path) -> None:
    """Write a network of wires to one .onnx file: `image` (n, 1, h, w), sides multiples of 16, to `maps` (n, 4, h / 2, w / 2).

    Weights are stored in half precision, as in `export_segmenter`; the network's own are rounded in place.

    Raises:
        ModelError: the file's outputs differ from the network's by more than 1e-3.
    """
    wrapped = network.eval().to(memory_format=torch.contiguous_format)
    round_to_half(wrapped)
    example = torch.randn(1, 1, 64, 96, generator=torch.Generator().manual_seed(0))
    free = {0: "n", 2: "h", 3: "w"}
    written = card.model_copy(update={"architecture": {"widths": network.widths, "depth": network.depth}})
    _export(wrapped, example, written, path, axes={"image": free, "maps": free}, check=_same_values, half=True)


def export_scorer(network: PatchNet, card: ModelCard, path: Path) -> ModelCard:
    """Write a network of patches to one .onnx file: `image` (n, channels, h, w) to `logits` (n, outputs, rows, columns).

    The file's card says of the network what `models.score` needs: its patch, its channels and the step of a dense pass or of
    cells. Of a network of cells, weights are stored in half precision, as in `export_segmenter`.

    Returns:
        The card as written.

    Raises:
        ModelError: the file's outputs differ from the network's by more than 1e-3.
    """
    dense, cells = network.dense or network.cellular, network.cellular
    facts = {"patch_px": network.input_px, "channels": network.channels, "dense": dense, "stride": network.pool if dense else 1}
    how = {"postprocess": CELLS if cells else SCORES, "architecture": network.architecture()}
    written = card.model_copy(update={**facts, **how})
    wrapped = network.eval().to(memory_format=torch.contiguous_format)
    if cells:
        round_to_half(wrapped)
    side = network.input_px
    example = torch.randn(2, network.channels, side, side, generator=torch.Generator().manual_seed(0))
    axes = {"image": {0: "n", 2: "h", 3: "w"}, "logits": {0: "n", 2: "rows", 3: "columns"}}
    _export(wrapped, example, written, path, axes=axes, check=_same_values, half=cells)
    return written


def export_neighbours(network: NeighbourNet, card: ModelCard, path: Path) -> None:
    """Write a network of good images to one .onnx file: `image` (n, channels, h, w) to `logits` (n, k, h / 8, w / 8).

    Weights and banks are stored in half precision, as in `export_segmenter`; the network's own are rounded in place.

    Raises:
        ModelError: the file's outputs differ from the network's by more than 1e-3.
    """
    wrapped = network.eval().to(memory_format=torch.contiguous_format)
    round_to_half(wrapped)
    example = torch.rand(1, network.features.channels, 64, 96, generator=torch.Generator().manual_seed(0))
    axes = {"image": {0: "n", 2: "h", 3: "w"}, "logits": {0: "n", 2: "rows", 3: "columns"}}
    _export(wrapped, example, card, path, axes=axes, check=_same_values, half=True)


def export_classifier(network: ClassNet, card: ModelCard, path: Path) -> ModelCard:
    """Write a classifier to one .onnx file: `image` (n, 3, h, w) to `logits` (n, k), `features` (n, d) and `foreign` (n,).

    The features of the known images are stored in half precision; the network's own are rounded in place.

    Returns:
        The card as written, with the network's architecture.

    Raises:
        ModelError: the file's outputs differ from the network's by more than 1e-3.
    """
    written = card.model_copy(update={"architecture": network.architecture()})
    wrapped = network.eval().to(memory_format=torch.contiguous_format)
    with torch.no_grad():
        network.bank.copy_(network.bank.half().float())
    example = torch.randn(2, 3, 96, 128, generator=torch.Generator().manual_seed(0))
    axes = {"image": {0: "n", 2: "h", 3: "w"}, "logits": {0: "n"}, "features": {0: "n"}, "foreign": {0: "n"}}
    _export(wrapped, example, written, path, axes=axes, check=_same_shares, half=True, fold=True)
    return written


def export_backbone(backbone: Backbone, path: Path) -> None:
    """Write a backbone to one .onnx file: `image` (n, 3, h, w) to `features` (n, d). Training reads it back to be quick.

    Raises:
        ModelError: the file's outputs differ from the network's by more than 1e-3.
    """
    card = ModelCard(
        name=backbone.name, task="classify", classes=("-",), preprocess=STANDARD, postprocess="features-1", view_px=backbone.side
    )
    wrapped = backbone.eval().to(memory_format=torch.contiguous_format)
    example = torch.randn(2, 3, 96, 128, generator=torch.Generator().manual_seed(0))
    axes = {"image": {0: "n", 2: "h", 3: "w"}, "features": {0: "n"}}
    _export(wrapped, example, card, path, axes=axes, check=_same_shares, fold=True)


def round_to_half(network: nn.Module) -> None:
    """Round the weights with two axes or more to half precision, in place; norms and biases stay as they are."""
    with torch.no_grad():
        for weight in network.parameters():
            if weight.ndim > 1:
                weight.copy_(weight.half().float())


def store_in_half(model: onnx.ModelProto) -> None:
    """Keep the initialisers that are exact in half precision, with two axes or more, in it; a cast makes them single again."""
    casts = {}
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.ndim < 2 or not np.array_equal(values.astype(np.float16), values):
            continue
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), tensor.name))
        casts[tensor.name] = helper.make_node("Cast", [tensor.name], [f"{tensor.name}.single"], to=TensorProto.FLOAT)
    for node in model.graph.node:
        for k, name in enumerate(node.input):
            if name in casts:
                node.input[k] = f"{name}.single"
    nodes = [*casts.values(), *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def fold_pads(model: onnx.ModelProto) -> None:
    """Let strided convolutions pad by themselves, a px more at the end than at the start: several times quicker than a node each.

    For those of `lite_encoder`, which pad by their kernel less their stride.
    """
    graph, used = model.graph, Counter(name for node in model.graph.node for name in node.input)
    pads = {node.output[0]: node for node in graph.node if node.op_type == "Pad" and used[node.output[0]] == 1}
    gone = []
    for node in graph.node:
        if node.op_type != "Conv" or node.input[0] not in pads:
            continue
        pad, given = pads[node.input[0]], {one.name: list(one.ints) for one in node.attribute}
        totals = [k - s for k, s in zip(given["kernel_shape"], given["strides"], strict=True)]
        first = [total // 2 for total in totals]
        last = [total - start for total, start in zip(totals, first, strict=True)]
        kept = [one for one in node.attribute if one.name != "pads"]
        del node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute("pads", [*first, *last])])
        node.input[0] = pad.input[0]
        gone.append(pad)
    for pad in gone:
        graph.node.remove(pad)


Outputs = Sequence[NDArray[np.float32]]


def _export(
    wrapped: nn.Module,
    example: Tensor,
    card: ModelCard,
    path: Path,
    *,
    axes: dict[str, dict[int, str]],
    check: Callable[[Outputs, Outputs], float],
    half: bool = False,
    fold: bool = False,
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
    if fold:
        fold_pads(model)
    if half:
        store_in_half(model)
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


def _same_shares(wanted: Outputs, got: Outputs) -> float:
    """The greatest difference, of values beyond 1 as a share of them: distances and logits of noise are large."""
    return float(max((np.abs(a - b) / np.maximum(np.abs(a), 1)).max() for a, b in zip(wanted, got, strict=True)))


def _same_peaks(wanted: Outputs, got: Outputs) -> float:
    """The greatest difference; infinite where too many peaks lie elsewhere.

    A cell may be a peak in one and not in the other where two neighbours are equal but for rounding.
    """
    both = (wanted[0] > 0) & (got[0] > 0)
    if ((wanted[0] > 0) == (got[0] > 0)).mean() < 0.99:
        return float("inf")
    return float(max(np.abs(wanted[1] - got[1]).max(), np.abs(wanted[0] - got[0])[both].max(initial=0.0)))
