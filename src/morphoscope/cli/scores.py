"""What `train score` and `evaluate` say of a score model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    import pandas as pd

    from morphoscope.evaluate_scores import ScoreEvaluation
    from morphoscope.train.score import Trained

NUMBERS = ("accuracy", "precision", "recall", "f1", "auc")


def held_out(*, started: bool) -> str:
    """The images that a trained model was tested on, in words."""
    return "images held out here (the model of --from may have learnt them)" if started else "images never learnt"


def say_trained(output: Path, trained: Trained) -> None:
    """The classes, the table of train, validation and test, what was assumed.

    Raises:
        PartialError: images were skipped; they are named.
    """
    card = trained.card
    typer.echo(f"{output}: {card.answer} answer, classes {', '.join(card.classes)}; a patch covers {card.seen_px:g} px")
    for note in trained.notes:
        typer.echo(f"note: {note}")
    if len(trained.parts):
        typer.echo(rate_lines(trained.parts, first=("part", "images")))
        typer.echo(f"on {held_out(started=trained.started)}: {_intervals(card.metrics)}")
        if card.metrics.get("present_from", 0.5) < 0.5:
            typer.echo(_presence(card.metrics))
        if "extent_mae" in card.metrics:
            typer.echo(
                f"extents of test images: mean error {card.metrics['extent_mae']:.3f}, rms {card.metrics['extent_rms']:.3f}"
            )
        before = " beside what the model of --from had learnt" if trained.started else " only"
        typer.echo(
            f"The network that was tested had learnt the part `train`{before}; the model in the file has learnt all images since."
        )
    else:
        typer.echo("not validated: nothing was held out (train.folds = 0)")
    refuse_skipped(trained.skipped, f"{output} was trained on the others")


def rate_lines(table: pd.DataFrame, *, first: tuple[str, ...] = ()) -> str:
    """The counts and rates of a `class_table`, with some columns before them, as aligned text."""
    head = [*first, "class", "TP", "FP", "TN", "FN", *NUMBERS]
    rows = [
        [*(str(row[name]) for name in (*first, "class", "tp", "fp", "tn", "fn")), *(f"{row[name]:.3f}" for name in NUMBERS)]
        for row in table.to_dict("records")
    ]
    wide = [max(len(line[k]) for line in (head, *rows)) for k in range(len(head))]
    left = {*first[:1], "class"}

    def line(cells: list[str]) -> str:
        return "  ".join(c.ljust(w) if name in left else c.rjust(w) for c, w, name in zip(cells, wide, head, strict=True))

    return "\n".join(line(cells) for cells in (head, *rows))


def say_evaluated(result: ScoreEvaluation) -> None:
    """The table of classes, the intervals of all together, extents and levels."""
    typer.echo(rate_lines(result.by_class))
    m = result.metrics
    typer.echo(
        f"all: {_intervals(m)}; {m['n_images']:.0f} images" + (f", {m['n_judged']:.0f} patches" if result.judged.by_patch else "")
    )
    if result.judged.present_from < 0.5:
        typer.echo(_presence(m))
    if "extent_mae" in m:
        typer.echo(
            "extents: mean error {extent_mae:.3f}, rms {extent_rms:.3f}, rank correlation {extent_spearman:.3f}".format(**m)
        )
    if "level_right" in m:
        typer.echo("levels: {level_right:.3f} right, {level_within_1:.3f} within one; mean error {level_error:.2f}".format(**m))


def _intervals(metrics: dict[str, float]) -> str:
    """Rates with their intervals, of those that are known."""

    def bound(name: str) -> str:
        return f"{metrics.get(name, float('nan')):.3f}"

    known = [(words, name) for words, name in (("accuracy", "accuracy"), ("F1", "f1"), ("AUC", "auc")) if name in metrics]
    return ", ".join(f"{words} {bound(name)} ({bound(name + '_low')} to {bound(name + '_high')})" for words, name in known)


def _presence(metrics: dict[str, float]) -> str:
    return f"a class counts as present in a patch of which it covers {100 * metrics['present_from']:g} % or more"


def refuse_skipped(skipped: tuple[str, ...], done: str, *, kind: str = "labelled") -> None:
    """End with exit code 4 where images were skipped.

    Raises:
        PartialError: naming them.
    """
    from morphoscope.errors import PartialError

    if skipped:
        more = f"\n  and {len(skipped) - 20} more" if len(skipped) > 20 else ""
        listed = "".join(f"\n  {one}" for one in skipped[:20])
        raise PartialError(f"{len(skipped)} of the {kind} images were skipped ({done}):{listed}{more}")
