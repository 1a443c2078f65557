"""`morphoscope evaluate`: a model's scores on labelled data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def evaluate(
    model: Annotated[str, typer.Argument(help="a shipped model's name or an .onnx file")],
    data: Annotated[
        Path,
        typer.Argument(
            help="detectors: labels in any format of `labels convert`, a file or a folder (with labels.toml); "
            "segmenters: a folder with image/ and instances/ or mask/"
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
    """Precision, recall and F1 over IoU cut-offs, count and size errors, recall by size, F1 under noise; IoU of classes."""
    from morphoscope.calibration import Calibration
    from morphoscope.errors import RunExistsError, UsageError
    from morphoscope.evaluate import evaluate_detector
    from morphoscope.io.labels import read_boxes
    from morphoscope.models.card import resolve_model
    from morphoscope.models.detect import load_detector
    from morphoscope.models.runtime import read_card
    from morphoscope.report.evaluation_folder import write_evaluation

    if output and (output / "metrics.json").exists() and not overwrite:
        raise RunExistsError(f"{output} holds an evaluation already; --overwrite replaces it")
    if read_card(resolve_model(model)).task == "segment":
        strange = [k for k, v in {"--scale": scale, "--noise": noise, "--min-objects": min_objects}.items() if v is not None]
        if strange:
            raise UsageError(f"{', '.join(strange)}: for detectors only; {model} is a segmenter, scored in px on every image")
        metrics = _masks(model, data, output, threshold, quiet=as_json)
        if as_json:
            typer.echo(json.dumps(metrics, indent=2))
        elif output:
            typer.echo(f"tables, figures and pictures: {output}")
        return
    size, least = None if scale is None else (scale, scale), min_objects or 1
    calibration = Calibration().updated("command line", pixel_size_nm=size)
    labels = read_boxes(data)
    detector = load_detector(model)
    result = evaluate_detector(
        detector, labels, threshold=threshold, noise=noise is not False, min_objects=least, calibration=calibration
    )
    if output:
        write_evaluation(output, result, detector, labels, threshold=threshold, calibration=calibration)
    if as_json:
        typer.echo(json.dumps(result.metrics, indent=2))
        return
    typer.echo(f"{'IoU':>5} {'precision':>10} {'recall':>7} {'F1':>6} {'TP':>6} {'FP':>5} {'FN':>5}")
    for row in result.by_iou.itertuples():
        typer.echo(f"{row.iou:5.2f} {row.precision:10.3f} {row.recall:7.3f} {row.f1:6.3f} {row.tp:6d} {row.fp:5d} {row.fn:5d}")
    typer.echo(_errors(result.metrics, least))
    for row in result.noise.itertuples():
        level = "" if row.noise == "none" else f" {row.level:g}"
        typer.echo(f"noise {row.noise}{level}: F1 {row.f1:.3f} ({-100 * row.fall:+.1f} %)")
    if output:
        typer.echo(f"tables, figures and pictures: {output}")


def _masks(model: str, data: Path, output: Path | None, threshold: float | None, *, quiet: bool) -> dict[str, float]:
    """Evaluate a segmenter, write the folder and say what was found."""
    from morphoscope.evaluate_masks import evaluate_classes, evaluate_particles
    from morphoscope.io.label_images import is_semantic, read_classes, read_pairs
    from morphoscope.models.segment import load_segmenter
    from morphoscope.report.mask_evaluation import MaskPictures, write_mask_evaluation

    segmenter, semantic = load_segmenter(model), is_semantic(data)
    seen = MaskPictures(output, semantic) if output else None
    if semantic:
        pairs, classes = read_classes(data)
        result = evaluate_classes(segmenter, pairs, classes, threshold=threshold, seen=seen)
        rows = result.by_class[["class", "iou", "iou_low", "iou_high"]].itertuples(index=False)
        lines = [f"{name}: IoU {iou:.3f} ({low:.3f} to {high:.3f})" for name, iou, low, high in rows]
        lines.append("mean over classes without background: {iou:.3f} ({iou_low:.3f} to {iou_high:.3f})".format(**result.metrics))
    else:
        pairs = read_pairs(data)
        result = evaluate_particles(segmenter, pairs, threshold=threshold, seen=seen)
        lines = [f"{'IoU':>5} {'precision':>10} {'recall':>7} {'F1':>6} {'TP':>6} {'FP':>5} {'FN':>5}"]
        for r in result.by_iou.itertuples():
            lines.append(f"{r.iou:5.2f} {r.precision:10.3f} {r.recall:7.3f} {r.f1:6.3f} {r.tp:6d} {r.fp:5d} {r.fn:5d}")
        lines.append(
            "F1 {f1:.3f} ({f1_low:.3f} to {f1_high:.3f}) at IoU {iou:g}; errors per image, median: "
            "count {count_error_median:.3f}, mean diameter {diameter_error_median:.3f}".format(**result.metrics)
        )
    if not quiet:
        typer.echo("\n".join(lines))
    if output:
        write_mask_evaluation(output, result, semantic=semantic)
    return result.metrics


def _errors(metrics: dict[str, float], least: int) -> str:
    unit, pixel = ("nm", "smallest_reliable_nm") if "smallest_reliable_nm" in metrics else ("px", "smallest_reliable_px")
    labelled = pixel.replace("reliable", "labelled")
    return (
        f"count error {100 * metrics['count_error_mean']:.1f} % on average, {100 * metrics['count_error_worst']:.1f} % at worst; "
        f"median size {100 * metrics['size_error_mean']:.1f} % and {100 * metrics['size_error_worst']:.1f} % "
        f"(frames with at least {least} labelled)\n"
        f"found reliably from {metrics[pixel]:.3g} {unit} on; the smallest labelled is {metrics[labelled]:.3g} {unit}"
    )
