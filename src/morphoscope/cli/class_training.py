"""`train classify`: what it says of the classifier that it made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from morphoscope.cli.bars import progress_bars
from morphoscope.cli.scores import held_out, refuse_skipped

if TYPE_CHECKING:
    from morphoscope.recipe import Recipe
    from morphoscope.train.classify import TrainedClasses

RATES = ("precision", "recall", "f1")


@dataclass(frozen=True)
class Choice:
    """What the command line says of `train classify`: labelled images, a project, images without a label, backbone and method."""

    data: Path | None
    from_project: Path | None = None
    unlabelled: Path | None = None
    backbone: str | None = None
    method: str | None = None


def learn_classes(choice: Choice, output: Path, settings: Recipe, *, start: Path | None, freeze: str | None) -> None:
    """Train a classifier on labelled images, on those that a person labelled in a project, or on both, and say what it is.

    Raises:
        UsageError: there is neither, or settings that contradict each other.
        PartialError: images were skipped; they are named.
    """
    from morphoscope.train.class_data import Source
    from morphoscope.train.classify import train_classifier

    recipe = with_choice(settings, choice)
    source = Source(choice.data, choice.from_project, choice.unlabelled)
    with progress_bars(None) as show:
        trained = train_classifier(source, output, recipe, start=start, freeze=freeze, progress=show)
    say_classes(output, trained, started=start is not None)


def with_choice(settings: Recipe, choice: Choice) -> Recipe:
    """The recipe with the backbone and the method of the command line, where they are given.

    Raises:
        RecipeError: there is no such one.
    """
    from morphoscope.recipe import parse_recipe

    given: dict[str, Any] = {k: v for k, v in (("backbone", choice.backbone), ("method", choice.method)) if v is not None}
    if not given:
        return settings
    values = settings.model_dump(exclude_unset=True)
    return parse_recipe({**values, "train": {**values.get("train", {}), **given}}, "the command line")


def say_classes(output: Path, trained: TrainedClasses, *, started: bool) -> None:
    """The classes, a row for each, what was found in the data, how good it is.

    Raises:
        PartialError: images were skipped; they are named.
    """
    card = trained.card
    made = card.architecture
    typer.echo(
        f"{output}: {len(card.classes)} classes, {card.training['method']} {made['backbone']}, images at {card.view_px} px"
    )
    for note in trained.notes:
        typer.echo(f"note: {note}")
    typer.echo(_lines(trained.classes.to_dict("records")))
    m = card.metrics
    if "accuracy" in m:
        told = ", ".join(f"{words} {m[name]:.3f}{_interval(m, name)}" for words, name in (("accuracy", "accuracy"), ("F1", "f1")))
        lacking = f" (without {', '.join(card.unvalidated)}, of which none could be held out)" if card.unvalidated else ""
        errors = f"calibration error {m['ece']:.3f} ({m['ece_before']:.3f} before)"
        typer.echo(f"on {held_out(started=started)}{lacking}: {told}; {errors}")
        typer.echo("The model in the file has learnt all images since.")
    else:
        typer.echo("not validated: nothing was held out")
    refuse_skipped(trained.skipped, f"{output} was trained on the others")


def _interval(metrics: dict[str, float], name: str) -> str:
    if f"{name}_low" not in metrics:
        return ""
    return f" ({metrics[f'{name}_low']:.3f} to {metrics[f'{name}_high']:.3f})"


def _lines(rows: list[dict[str, Any]]) -> str:
    """Rows of classes as aligned text."""
    head = list(rows[0])
    cells = [[f"{row[name]:.3f}" if name in RATES else str(row[name]) for name in head] for row in rows]
    wide = [max(len(line[k]) for line in ([n.replace("_", " ") for n in head], *cells)) for k in range(len(head))]
    lines = [[n.replace("_", " ") for n in head], *cells]
    return "\n".join(
        "  ".join(c.ljust(w) if k == 0 else c.rjust(w) for k, (c, w) in enumerate(zip(line, wide, strict=True))) for line in lines
    )
