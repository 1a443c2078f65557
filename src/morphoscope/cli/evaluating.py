"""What `evaluate` does with each kind of model: write the folder, say what was found, give the metrics."""

from __future__ import annotations

import math
from pathlib import Path

import typer


def evaluate_boxes(
    model: str,
    data: Path,
    output: Path | None,
    threshold: float | None,
    *,
    scale: float | None,
    noise: bool | None,
    least: int,
    quiet: bool,
) -> dict[str, float]:
    """Evaluate a detector, write the folder and say what was found."""
    from morphoscope.calibration import Calibration
    from morphoscope.evaluate import evaluate_detector
    from morphoscope.io.labels import read_boxes
    from morphoscope.models.detect import load_detector
    from morphoscope.report.evaluation_folder import write_evaluation

    calibration = Calibration().updated("command line", pixel_size_nm=None if scale is None else (scale, scale))
    labels, detector = read_boxes(data), load_detector(model)
    result = evaluate_detector(
        detector, labels, threshold=threshold, noise=noise is not False, min_objects=least, calibration=calibration
    )
    if output:
        write_evaluation(output, result, detector, labels, threshold=threshold, calibration=calibration)
    if quiet:
        return result.metrics
    typer.echo(f"{'IoU':>5} {'precision':>10} {'recall':>7} {'F1':>6} {'TP':>6} {'FP':>5} {'FN':>5}")
    for row in result.by_iou.itertuples():
        typer.echo(f"{row.iou:5.2f} {row.precision:10.3f} {row.recall:7.3f} {row.f1:6.3f} {row.tp:6d} {row.fp:5d} {row.fn:5d}")
    typer.echo(_errors(result.metrics, least))
    for row in result.noise.itertuples():
        level = "" if row.noise == "none" else f" {row.level:g}"
        typer.echo(f"noise {row.noise}{level}: F1 {row.f1:.3f} ({-100 * row.fall:+.1f} %)")
    return result.metrics


def evaluate_scores(
    model: str, data: Path, output: Path | None, threshold: float | None, *, quiet: bool
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Evaluate a score model, write the folder and say what was found; the metrics and the images that were skipped."""
    from morphoscope.cli.scores import say_evaluated
    from morphoscope.evaluate_scores import evaluate_scores as evaluate
    from morphoscope.io.score_data import read_score_data
    from morphoscope.models.score import load_scorer
    from morphoscope.report.score_evaluation import write_score_evaluation

    scorer = load_scorer(model)
    result = evaluate(scorer, read_score_data(data, answer=str(scorer.card.answer)), threshold=threshold)
    if not quiet:
        say_evaluated(result)
    if output:
        write_score_evaluation(output, result)
    return result.metrics, result.skipped


def evaluate_categories(
    model: str, data: Path, output: Path | None, *, accuracy: float, coverage: float, quiet: bool
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Evaluate a classifier of images, write the folder and say what was found; the metrics and the images that were skipped."""
    from morphoscope.cli.scores import rate_lines
    from morphoscope.evaluate_classes import evaluate_classifier
    from morphoscope.io.score_data import read_score_data
    from morphoscope.models.classify import load_classifier
    from morphoscope.report.class_evaluation import write_class_evaluation

    classifier, labelled = load_classifier(model), read_score_data(data, answer="exclusive")
    result = evaluate_classifier(classifier, labelled, accuracy=accuracy, coverage=coverage)
    if not quiet:
        typer.echo(rate_lines(result.by_class))
        typer.echo("\n".join(_honest_lines(result.metrics)))
        typer.echo(result.sentence)
    if output:
        write_class_evaluation(output, result, labelled, classifier.card)
    return result.metrics, result.skipped


def _honest_lines(m: dict[str, float]) -> list[str]:
    """Right answers, calibration, sets, acceptance and foreign images of a classifier, in words."""
    lines = [
        "{n_images:.0f} images in {n_groups:.0f} groups: accuracy {accuracy:.3f} ({accuracy_low:.3f} to {accuracy_high:.3f}), "
        "macro F1 {f1:.3f} ({f1_low:.3f} to {f1_high:.3f})",
        "calibration error (15 bins) {ece:.3f} ({ece_low:.3f} to {ece_high:.3f}); {ece_before:.3f} before calibration; "
        "true probabilities would show {ece_of_true_probabilities:.3f}",
    ]
    if math.isfinite(m["set_size"]):
        lines.append(
            "sets hold the true class in {set_coverage:.3f} ({set_coverage_low:.3f} to {set_coverage_high:.3f}) of images, "
            "wanted {target_coverage:g}; {set_size:.2f} classes in a set, several in {several_classes:.3f}"
        )
        right = f", {m['accepted_accuracy']:.4f} of them right" if m["accepted"] else ""
        lines.append(f"accepted here: {m['accepted']:.3f}{right}; foreign: {m['foreign']:.3f}")
    return [line.format(**m) for line in lines]


def evaluate_masks(model: str, data: Path, output: Path | None, threshold: float | None, *, quiet: bool) -> dict[str, float]:
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
        lines.append("precision, recall and F1, means over images, where pixels may lie some px apart:")
        for r in result.by_tolerance.itertuples():
            lines.append(f"{r[1]} within {r.tolerance_px:g} px: {r.precision:.3f}, {r.recall:.3f}, {r.f1:.3f}")
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
