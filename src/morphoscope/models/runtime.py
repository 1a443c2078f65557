"""Inference: the only user of ONNX Runtime (and of OpenVINO, where a recipe asks for it)."""

from __future__ import annotations

import hashlib
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from morphoscope.errors import ModelError, UsageError
from morphoscope.models.card import KEY, ModelCard, parse_card, sidecar_card

Provider = Literal["cpu", "cuda", "openvino"]
Tensors = list[NDArray[np.float32]]


class Session(Protocol):
    """A loaded model: what the tasks need of a runtime (tests use a fake)."""

    @property
    def card(self) -> ModelCard:
        """The model's card."""
        ...

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """(n, channels, height, width), None where free."""
        ...

    def run(self, batch: NDArray[np.float32]) -> Tensors:
        """All outputs for a float32 batch (n, channels, height, width)."""
        ...


class OnnxSession:
    """A model in ONNX Runtime, fp32."""

    def __init__(self, path: Path, *, threads: int | None, provider: str) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or available_cores()
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        names = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
        if names[provider] not in onnxruntime.get_available_providers():
            raise UsageError(
                f"the recipe asks for provider {provider!r}, which this installation of ONNX Runtime lacks; use 'cpu'"
            )
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=[names[provider]])
        except Exception as error:  # ONNX Runtime's exceptions share no public base class
            raise ModelError(f"{path} cannot be loaded as an ONNX model: {str(error).splitlines()[0]}") from error
        self.card = card_from(self._session.get_modelmeta().custom_metadata_map, path)
        self._input = self._session.get_inputs()[0]

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """See `Session`."""
        return tuple(n if isinstance(n, int) else None for n in self._input.shape)

    def run(self, batch: NDArray[np.float32]) -> Tensors:
        """See `Session`."""
        return list(self._session.run(None, {self._input.name: batch}))


class OpenVinoSession:
    """A model in OpenVINO (extra `openvino`), fp32 or bf16."""

    def __init__(self, path: Path, card: ModelCard, *, threads: int | None, precision: str) -> None:
        try:
            import openvino
        except ImportError as error:
            raise UsageError("provider 'openvino' needs the extra: pip install 'morphoscope[openvino]'") from error
        kind = {"fp32": "f32", "bf16": "bf16"}[precision]
        settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": kind, "INFERENCE_NUM_THREADS": threads or available_cores()}
        self._model = openvino.Core().compile_model(str(path), "CPU", settings)
        self.card = card
        self.input_shape: tuple[int | None, ...] = tuple(
            d.get_length() if d.is_static else None for d in self._model.input(0).partial_shape
        )

    def run(self, batch: NDArray[np.float32]) -> Tensors:
        """See `Session`."""
        results = self._model(batch)
        return [np.asarray(results[port]) for port in self._model.outputs]


def available_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def available_providers() -> tuple[str, ...]:
    """Providers a recipe can ask for in this installation."""
    known = {"CPUExecutionProvider": "cpu", "CUDAExecutionProvider": "cuda"}
    found = tuple(known[name] for name in onnxruntime.get_available_providers() if name in known)
    return (*found, "openvino") if find_spec("openvino") is not None else found


def card_from(metadata: dict[str, str], path: Path) -> ModelCard:
    """The card in a file's metadata; of a file without one, the card in the TOML beside it.

    Raises:
        ModelError: there is neither, or it cannot be used.
    """
    if KEY in metadata:
        return parse_card(metadata[KEY], str(path))
    card = sidecar_card(path)
    if card is None:
        raise ModelError(
            f"{path} carries no model card; it was not trained by morphoscope. Write its card into "
            f"{path.with_suffix('.toml').name} beside it (name, task, classes, preprocess, postprocess; see docs/guide.md)"
        )
    return card


def load_session(path: Path, *, threads: int | None = None, provider: Provider = "cpu", precision: str = "fp32") -> Session:
    """Load a model file.

    Args:
        path: an .onnx file, with its card inside or in the TOML beside it.
        threads: None for all cores.
        provider: `cpu` and `cuda` run in ONNX Runtime, `openvino` in OpenVINO.
        precision: `fp32`, or `bf16` with OpenVINO.

    Raises:
        ModelError: the file is no model or has no card.
        UsageError: the provider or the precision is not to be had.
    """
    if precision != "fp32" and provider != "openvino":
        raise UsageError(f"precision {precision!r} needs provider 'openvino', got provider {provider!r}")
    if not path.is_file():
        raise ModelError(f"wanted a model file, {path} is not one")
    if provider == "openvino":
        card = OnnxSession(path, threads=1, provider="cpu").card
        return OpenVinoSession(path, card, threads=threads, precision=precision)
    return OnnxSession(path, threads=threads, provider=provider)


def read_card(path: Path) -> ModelCard:
    """The card of a model file (see `load_session` for the errors)."""
    return load_session(path, threads=1).card


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
