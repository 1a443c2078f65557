"""`morphoscope train`: labelled data to one .onnx model with its card."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from morphoscope.cli.bars import progress_bars
from morphoscope.cli.class_training import Choice, learn_classes
from morphoscope.cli.good_images import learn_boxes, learn_good_images, of_good_images
from morphoscope.cli.scores import held_out, say_trained

TASKS = ("detect", "segment", "score", "classify")
OF_CLASSES = ("from_project", "unlabelled", "backbone", "method")  # options that only `train classify` has


def train(
    task: Annotated[str, typer.Argument(help="what the model shall do: detect, segment, score or classify")],
    data: Annotated[
        Path | None,
        typer.Argument(
            help="detect: labels in any format of `labels convert`, a file or a folder (with labels.toml); "
            "segment: a folder with image/ and instances/ (touching objects apart) or mask/ (grey values are classes); "
            "score: a folder per class, a CSV file,label or file,SCORES, image/ and mask/ or masks/CLASS/, boxes, an .npz; "
            "with --good a folder of images; classify: a folder per class, a CSV file,label[,group], a project"
        ),
    ] = None,
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="the model file to write, .onnx")],
    recipe: Annotated[
        Path | None, typer.Option(help="settings, see `morphoscope init`: [train], [score] and [calibration]")
    ] = None,
    start: Annotated[
        str | None, typer.Option("--from", help="a trained model to go on from: an .onnx file or a shipped model's name")
    ] = None,
    freeze: Annotated[str | None, typer.Option(help="layers of --from that stay as they are: backbone")] = None,
    imagenet: Annotated[
        Path | None,
        typer.Option(help="segment, score --good: weights of EfficientNet-Lite0 (.pth) for the encoder to start from"),
    ] = None,
    good: Annotated[
        bool, typer.Option("--good", help="score: DATA is a folder of images without defects; what is unlike them is an anomaly")
    ] = False,
    from_project: Annotated[
        Path | None, typer.Option(help="classify: a project; what people said in it is learnt, with DATA or alone")
    ] = None,
    unlabelled: Annotated[
        Path | None, typer.Option(help="classify: a folder of images without a label that help where labels are few")
    ] = None,
    backbone: Annotated[str | None, typer.Option(help="classify: the pretrained network, in place of train.backbone")] = None,
    method: Annotated[
        str | None, typer.Option(help="classify: frozen, neighbours or fine-tuned, in place of train.method")
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="replace the model file if it is there")] = False,
) -> None:
    """Train a model from labelled examples (needs the extra: pip install 'morphoscope[train]')."""
    from morphoscope.errors import UsageError
    from morphoscope.models.card import resolve_model
    from morphoscope.recipe import Recipe, load_recipe

    choice = Choice(data, from_project, unlabelled, backbone, method)
    _refuse_strangers(task, choice, imagenet=imagenet, good=good)
    _check_output(output, overwrite=overwrite)
    try:
        from morphoscope.train.detect import train_detector
        from morphoscope.train.score import train_scorer
        from morphoscope.train.segment import train_segmenter
    except ImportError as error:
        raise UsageError(f"training needs the extra 'train' ({error}): pip install 'morphoscope[train]'") from error
    settings = load_recipe(recipe) if recipe else Recipe()
    begin = resolve_model(start) if start is not None else None
    if task == "classify":
        learn_classes(choice, output, settings, start=begin, freeze=freeze)
        return
    if data is None:
        raise UsageError(f"`train {task}` wants DATA, labelled images to learn from")
    if task == "score" and (good or of_good_images(begin)):
        if freeze is not None:
            raise UsageError("a model of good images learns no layers: leave out --freeze")
        if good:
            learn_good_images(data, output, settings, imagenet=imagenet, start=begin)
        elif begin is not None:
            learn_boxes(data, output, settings, start=begin)
        return
    with progress_bars(settings.train.epochs if task == "score" else settings.train.steps) as show:
        if task == "score":
            scored = train_scorer(data, output, settings, start=begin, freeze=freeze, progress=show)
        elif task == "segment":
            card = train_segmenter(data, output, settings, imagenet=imagenet, start=begin, freeze=freeze, progress=show)
        else:
            card = train_detector(data, output, settings, start=begin, freeze=freeze, progress=show)
    if task == "score":
        say_trained(output, scored)
        return
    typer.echo(f"{output}: classes {', '.join(card.classes)}, threshold {card.threshold:g}")
    typer.echo(_validation(card.metrics, task, started=begin is not None))


def _check_output(output: Path, *, overwrite: bool) -> None:
    from morphoscope.errors import UsageError

    if output.suffix != ".onnx":
        raise UsageError(f"a model file ends in .onnx, got {output.name}")
    if output.exists() and not overwrite:
        raise UsageError(f"{output} is there already; --overwrite replaces it")


def _validation(metrics: dict[str, float], task: str, *, started: bool) -> str:
    """What is known of the model's quality, in words."""
    held = held_out(started=started)
    if "f1" in metrics and task == "segment":
        return f"F1 {metrics['f1']:.3f} at IoU {metrics['iou']:g} on {held}"
    if "f1" in metrics:
        return (
            f"F1 {metrics['f1']:.3f} at IoU {metrics['iou']:g} "
            f"(precision {metrics['precision']:.3f}, recall {metrics['recall']:.3f}) on bands of x never learnt"
        )
    if "iou" in metrics:
        each = ", ".join(f"{name.removeprefix('iou_')} {value:.3f}" for name, value in metrics.items() if name != "iou")
        return f"mean IoU {metrics['iou']:.3f}{f' ({each})' if each else ''} on {held}"
    return "not validated: nothing was held out (train.folds = 0)"


def _refuse_strangers(task: str, choice: Choice, *, imagenet: Path | None, good: bool) -> None:
    """An unknown task, or an option that the task has no use for is an error, not passed over."""
    from morphoscope.errors import UsageError

    if task not in TASKS:
        raise UsageError(f"wanted one of the tasks {', '.join(TASKS)}, got {task!r}")
    given = [name for name in OF_CLASSES if getattr(choice, name) is not None]
    if given and task != "classify":
        raise UsageError(f"`train {task}` has no --{given[0].replace('_', '-')}")
    if good and task != "score":
        raise UsageError(f"`train {task}` has no --good")
    if imagenet is not None and task != "segment" and not good:
        raise UsageError(f"`train {task}` has no --imagenet{'; it goes with --good' if task == 'score' else ''}")
