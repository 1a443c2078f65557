"""`morphoscope evaluate`: a model's scores on labelled data."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated

import typer

from morphoscope.cli.evaluating import evaluate_boxes, evaluate_masks, evaluate_scores
from morphoscope.cli.scores import refuse_skipped


def evaluate(
    model: Annotated[str, typer.Argument(help="a shipped model's name or an .onnx file")],
    data: Annotated[
        Path,
        typer.Argument(
            help="detectors: labels in any format of `labels convert`, a file or a folder (with labels.toml); "
            "segmenters: a folder with image/ and instances/ or mask/; score models: labelled images as for `train score`"
        ),
    ],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="folder for tables, figures and metrics.json")] = None,
    scale: Annotated[float | None, typer.Option(help="detectors: nm per px, for sizes in nm")] = None,
    threshold: Annotated[float | None, typer.Option(min=0.0, max=1.0, help="lowest score; default: the model's own")] = None,
    noise: Annotated[
        bool | None,
        typer.Option("--noise/--no-noise", help="detectors: also measure F1 under added noise (eight more passes); default: do"),
    ] = None,
    min_objects: Annotated[
        int | None,
        typer.Option(min=1, help="detectors: frames with fewer labelled objects do not count in count and size errors"),
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="replace an evaluation in the output folder")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print metrics as JSON")] = False,
) -> None:
    """Precision, recall and F1 over IoU cut-offs, count and size errors, recall by size, F1 under noise; IoU; ROC, confusion."""
    from morphoscope.errors import RunExistsError, UsageError
    from morphoscope.models.card import resolve_model
    from morphoscope.models.runtime import read_card

    if output and (output / "metrics.json").exists() and not overwrite:
        raise RunExistsError(f"{output} holds an evaluation already; --overwrite replaces it")
    task, skipped = read_card(resolve_model(model)).task, tuple[str, ...]()
    if task in ("segment", "score"):
        strange = [k for k, v in {"--scale": scale, "--noise": noise, "--min-objects": min_objects}.items() if v is not None]
        if strange:
            raise UsageError(f"{', '.join(strange)}: for detectors only; {model} is for the task {task!r}")
    if task == "segment":
        metrics = evaluate_masks(model, data, output, threshold, quiet=as_json)
    elif task == "score":
        metrics, skipped = evaluate_scores(model, data, output, threshold, quiet=as_json)
    else:
        metrics = evaluate_boxes(model, data, output, threshold, scale=scale, noise=noise, least=min_objects or 1, quiet=as_json)
    if as_json:
        typer.echo(json.dumps({k: v if math.isfinite(v) else None for k, v in metrics.items()}, indent=2))
    elif output:
        typer.echo(f"tables, figures and pictures: {output}")
    refuse_skipped(skipped, "the figures are of the others")
