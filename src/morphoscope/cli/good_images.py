"""`train score GOOD --good`, and `train score BOXES --from M.onnx` where M was made of good images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from morphoscope.cli.scores import refuse_skipped

if TYPE_CHECKING:
    from morphoscope.recipe import Recipe


def of_good_images(start: Path | None) -> bool:
    """Whether a model to go on from was made of good images."""
    from morphoscope.models.neighbours import NEIGHBOURS
    from morphoscope.models.runtime import read_card

    return start is not None and read_card(start).postprocess == NEIGHBOURS


def learn_good_images(data: Path, output: Path, recipe: Recipe, *, imagenet: Path | None, start: Path | None) -> None:
    """Make a model of a folder of good images and say what it calls anomalous in them.

    Raises:
        PartialError: images were skipped; they are named.
    """
    from morphoscope.train.anomaly import train_anomaly

    made = train_anomaly(data, output, recipe, imagenet=imagenet, start=start)
    metrics = made.card.metrics
    typer.echo(
        f"{output}: shows what does not look like the {made.card.training['good_images']} good images, in cells of "
        f"{made.card.seen_px:g} px; features of {made.card.data[0].name}"
    )
    typer.echo(
        f"S_anomaly of a good image held out: {metrics['good_extent']:.4f} on average, {metrics['good_extent_highest']:.4f} at "
        f"most; {metrics['false_alarms']:.2%} of its area is a false alarm"
    )
    refuse_skipped(made.skipped, f"{output} was made of the others", kind="good")


def learn_boxes(data: Path, output: Path, recipe: Recipe, *, start: Path) -> None:
    """Teach a model of good images what lies in boxes, and say what it knows."""
    from morphoscope.train.taught import teach_defects

    card = teach_defects(data, output, recipe, start=start)
    typer.echo(f"{output}: maps of {', '.join(card.classes)}; not validated: nothing was held out")
