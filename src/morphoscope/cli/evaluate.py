"""`morphoscope evaluate`: a model's scores on labelled data."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated

import typer

from morphoscope.cli.evaluating import evaluate_boxes, evaluate_categories, evaluate_masks, evaluate_scores
from morphoscope.cli.scores import refuse_skipped


def evaluate(
    model: Annotated[str, typer.Argument(help="a shipped model's name or an .onnx file")],
    data: Annotated[
        Path,
        typer.Argument(
            help="detectors: labels in any format of `labels convert`, a file or a folder (with labels.toml); "
            "segmenters: a folder with image/ and instances/ or mask/; score models, classifiers: labelled images as for `train`"
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
    accuracy: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="classifiers: this share of what is accepted shall be right; default: 0.99"),
    ] = None,
    coverage: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="classifiers: this share of sets shall hold the true class; default: 0.9"),
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="replace an evaluation in the output folder")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print metrics as JSON")] = False,
) -> None:
    """Precision, recall and F1 over IoU cut-offs, count and size errors, recall by size, F1 under noise; IoU; ROC, confusion;
    calibration, prediction sets and acceptance of classifiers."""
    from morphoscope.errors import RunExistsError, UsageError
    from morphoscope.measure.honest import ACCURACY, COVERAGE
    from morphoscope.models.card import resolve_model
    from morphoscope.models.runtime import read_card

    if output and (output / "metrics.json").exists() and not overwrite:
        raise RunExistsError(f"{output} holds an evaluation already; --overwrite replaces it")
    task, skipped = read_card(resolve_model(model)).task, tuple[str, ...]()
    options: dict[str, dict[str, object]] = {
        "detectors": {"--scale": scale, "--noise": noise, "--min-objects": min_objects},
        "classifiers": {"--accuracy": accuracy, "--coverage": coverage},
        "all other models": {"--threshold": threshold} if task == "classify" else {},
    }
    own = {"detect": "detectors", "classify": "classifiers"}.get(task)
    for whose, given in options.items():
        strange = [name for name, value in given.items() if value is not None]
        if strange and whose != own:
            raise UsageError(f"{', '.join(strange)}: for {whose} only; {model} is for the task {task!r}")
    if task == "segment":
        metrics = evaluate_masks(model, data, output, threshold, quiet=as_json)
    elif task == "classify":
        wanted = {"accuracy": accuracy or ACCURACY, "coverage": coverage or COVERAGE}
        metrics, skipped = evaluate_categories(model, data, output, **wanted, quiet=as_json)
    elif task == "score":
        metrics, skipped = evaluate_scores(model, data, output, threshold, quiet=as_json)
    else:
        metrics = evaluate_boxes(model, data, output, threshold, scale=scale, noise=noise, least=min_objects or 1, quiet=as_json)
    if as_json:
        typer.echo(json.dumps({k: v if math.isfinite(v) else None for k, v in metrics.items()}, indent=2))
    elif output:
        typer.echo(f"tables, figures and pictures: {output}")
    refuse_skipped(skipped, "the figures are of the others")
