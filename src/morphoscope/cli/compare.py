"""`morphoscope compare`: backbones and ways to learn, side by side on the same folds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from morphoscope.cli.bars import progress_bars
from morphoscope.cli.scores import refuse_skipped

if TYPE_CHECKING:
    from morphoscope.train.compare import Comparison


def compare(
    data: Annotated[Path, typer.Argument(help="labelled images as for `train classify`: a folder per class, a CSV file,label")],
    backbone: Annotated[list[str] | None, typer.Option(help="a pretrained network; name as many as you like")] = None,
    method: Annotated[
        list[str] | None, typer.Option(help="frozen, neighbours or fine-tuned; name as many as you like; default: all")
    ] = None,
    folds: Annotated[int, typer.Option(min=2, help="parts that are held out in turn; groups are never split")] = 5,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="folder for compare.csv, figures and report.html")] = None,
    recipe: Annotated[Path | None, typer.Option(help="settings, see `morphoscope init`: [train]")] = None,
    weights: Annotated[
        list[str] | None, typer.Option(help="BACKBONE=FILE: weights of a backbone that come in no package; may be repeated")
    ] = None,
    by_image: Annotated[
        bool, typer.Option("--by-image", help="split groups and near copies, to see how much that flatters")
    ] = False,
    overwrite: Annotated[bool, typer.Option(help="replace a comparison in the output folder")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print the table as JSON")] = False,
) -> None:
    """Accuracy, macro F1, calibration, time and size of classifiers on the same folds (needs the extra 'train')."""
    from morphoscope.errors import RunExistsError, UsageError
    from morphoscope.recipe import Recipe, load_recipe

    if output and (output / "compare.csv").exists() and not overwrite:
        raise RunExistsError(f"{output} holds a comparison already; --overwrite replaces it")
    files = _files(weights or [])
    try:
        from morphoscope.train.compare import Plan, compare_classifiers
    except ImportError as error:
        raise UsageError(f"comparing needs the extra 'train' ({error}): pip install 'morphoscope[train]'") from error
    usual = Plan()
    plan = Plan(tuple(backbone or usual.backbones), tuple(method or usual.methods), folds, by_image, files)
    with progress_bars(None) as show:
        result = compare_classifiers(data, load_recipe(recipe) if recipe else Recipe(), plan, progress=show)
    if as_json:
        typer.echo(json.dumps(json.loads(result.table.to_json(orient="records")), indent=2))
    else:
        for note in result.notes:
            typer.echo(f"note: {note}")
        typer.echo("\n".join(lines_of(result)))
    if output:
        _write(output, data, result)
        if not as_json:
            typer.echo(f"tables, figures and report: {output}")
    refuse_skipped(result.skipped, "the figures are of the others")


def _files(weights: list[str]) -> dict[str, Path]:
    from morphoscope.errors import UsageError

    pairs = [one.partition("=") for one in weights]
    wrong = [name for name, sign, file in pairs if not (name and sign and file)]
    if wrong:
        raise UsageError(f"--weights wants BACKBONE=FILE, such as resnet50=resnet50.pth, got {', '.join(wrong)}")
    return {name: Path(file) for name, _, file in pairs}


def lines_of(result: Comparison) -> list[str]:
    """The table as aligned text, with what it rests on."""
    head = ["backbone", "method", "accuracy", "macro F1", "ECE", "before", "training", "per image", "size"]
    rows = [
        [
            row["backbone"],
            row["method"],
            f"{row['accuracy']:.3f} ({row['accuracy_low']:.3f} to {row['accuracy_high']:.3f})",
            f"{row['f1']:.3f} ({row['f1_low']:.3f} to {row['f1_high']:.3f})",
            f"{row['ece']:.3f} ({row['ece_low']:.3f} to {row['ece_high']:.3f})",
            f"{row['ece_before']:.3f}",
            f"{row['train_s']:.0f} s",
            f"{row['ms_per_image']:.0f} ms",
            f"{row['mb']:.1f} MB",
        ]
        for row in result.table.to_dict("records")
    ]
    wide = [max(len(line[k]) for line in (head, *rows)) for k in range(len(head))]
    lines = [
        "  ".join(c.ljust(w) if k < 2 else c.rjust(w) for k, (c, w) in enumerate(zip(line, wide, strict=True)))
        for line in (head, *rows)
    ]
    first = result.table.iloc[0]
    split = "images dealt for themselves: this flatters" if result.plan.by_image else "groups never split"
    return [*lines, f"{first['images']} images in {first['groups']} groups, {result.plan.folds} folds, {split}"]


def _write(output: Path, data: Path, result: Comparison) -> None:
    from morphoscope.report.comparison import write_comparison

    warnings = list(result.skipped)
    if result.plan.by_image:
        warnings.insert(0, "Images were dealt to the folds for themselves, whatever their groups: all figures flatter.")
    write_comparison(
        output,
        rows=result.table,
        folds=result.folds,
        name=data.stem,
        notes=result.notes,
        warnings=tuple(warnings),
    )
