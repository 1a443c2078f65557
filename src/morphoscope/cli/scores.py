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
        if "extent_mae" in card.metrics:
            typer.echo(
                f"extents of test images: mean error {card.metrics['extent_mae']:.3f}, rms {card.metrics['extent_rms']:.3f}"
            )
        typer.echo(
            "The network that was tested had learnt the part `train` only; the model in the file has learnt all images since."
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
        "all: accuracy {accuracy:.3f} ({accuracy_low:.3f} to {accuracy_high:.3f}), F1 {f1:.3f} ({f1_low:.3f} to {f1_high:.3f}), "
        "AUC {auc:.3f} ({auc_low:.3f} to {auc_high:.3f})".format(**m)
        + f"; {m['n_images']:.0f} images"
        + (f", {m['n_judged']:.0f} patches" if result.judged.by_patch else "")
    )
    if "extent_mae" in m:
        typer.echo(
            "extents: mean error {extent_mae:.3f}, rms {extent_rms:.3f}, rank correlation {extent_spearman:.3f}".format(**m)
        )
    if "level_right" in m:
        typer.echo("levels: {level_right:.3f} right, {level_within_1:.3f} within one; mean error {level_error:.2f}".format(**m))


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
