"""What the methods of all runs over images say alike: how the model was run, and what to cite beside its own sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def inference(run: Mapping[str, Any]) -> str:
    """A sentence on provider and precision; empty where run.json names none."""
    provider = run.get("provider")
    if not provider:
        return ""
    runtime = "OpenVINO (CPU" if provider == "openvino" else f"ONNX Runtime ({str(provider).upper()}"
    return f"Inference: {runtime}, {run.get('precision')})."


def cited(run: Mapping[str, Any], card: Mapping[str, Any], what: str, sources: Sequence[str]) -> list[str]:
    """The package for `what` it did, the sources, the data and the model's training data, each once."""
    version = (run.get("versions") or {}).get("morphoscope", "")
    data = ((run.get("recipe") or {}).get("report") or {}).get("citation")
    learnt = [source.get("citation") or source.get("name") for source in card.get("data") or ()]
    said = [f"morphoscope {version}".strip() + f", {what} (BSD-3-Clause)", *sources]
    said += [f"Data: {data}"] if data else []
    return list(dict.fromkeys([*said, *(f"Training data of the model: {source}" for source in learnt if source)]))
