"""Settings of `train score` that would change nothing are refused, not passed over."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from morphoscope.errors import UsageError
from morphoscope.models.runtime import read_card
from morphoscope.recipe import Recipe
from morphoscope.train.lite_patches import LITE

if TYPE_CHECKING:
    from morphoscope.train.score_job import ScorerTraining

OF_THE_LOOP = ("epochs", "patches", "rate", "patience")


def refuse_useless(recipe: Recipe, start: Path | None, freeze: str | None) -> None:
    """Refuse what makes no sense whatever the images are.

    Raises:
        UsageError: naming the setting.
    """
    settings = recipe.train
    if freeze not in (None, "backbone"):
        raise UsageError(f"--freeze takes 'backbone', got {freeze!r}")
    if freeze and not start:
        raise UsageError("--freeze keeps layers of a trained model: name it with --from MODEL.onnx")
    if settings.folds > settings.bands:
        raise UsageError(f"train.folds = {settings.folds} is more than train.bands = {settings.bands}")
    if not settings.folds and "patience" in settings.model_fields_set:
        raise _useless(recipe, "patience", "nothing is held out (train.folds = 0), so nothing stops the training early")
    if not settings.folds and settings.split == "copy":
        raise _useless(recipe, "split", "nothing is held out (train.folds = 0)")
    own = str(read_card(start).architecture.get("name", "another network")) if start else None
    if own and settings.network not in (None, own):
        raise _useless(recipe, "network", f"the model of --from goes on with its own network, {own}")


def refuse_unfit(job: ScorerTraining) -> None:
    """Refuse what makes no sense with the images, or with the network that was taken for them.

    Raises:
        UsageError: naming the setting.
    """
    given, start = job.recipe.train.model_fields_set, job.plan.start
    if "target" in given and not job.data.marked:
        raise _useless(job.recipe, "target", "it is what a patch of marked images is taught, and these images have a label each")
    if job.plan.network != LITE:
        return
    for name in OF_THE_LOOP:
        if name in given and getattr(job.recipe.train, name) is not None:
            why = f"of the pretrained network {LITE} only a last layer is learnt, in one go"
            raise _useless(job.recipe, name, f"{why}; train.network names others")
    if start is None:
        return
    card = read_card(start)
    if (card.classes, card.answer) != (job.data.classes, job.data.answer):
        raise UsageError(
            f"the model of --from has learnt nothing for these labels: it is the pretrained network {LITE} with a last layer for "
            f"{card.answer} answers of the classes {', '.join(card.classes)}, the labels are {job.data.answer} and of "
            f"{', '.join(job.data.classes)}; leave out --from"
        )


def _useless(recipe: Recipe, name: str, why: str) -> UsageError:
    return UsageError(f"train.{name} = {getattr(recipe.train, name)!r} would change nothing: {why}; leave it out")
