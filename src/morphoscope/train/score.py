"""`train score`: labelled images to one .onnx model of patches with its card, validated on whole images never learnt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from morphoscope.evaluate_scores import judge
from morphoscope.measure.classification import best_threshold, shared_half_width
from morphoscope.measure.judged import ALL, Judged, class_table, extent_table, headline, pooled
from morphoscope.models.card import ModelCard
from morphoscope.models.runtime import read_card
from morphoscope.models.score import load_scorer
from morphoscope.recipe import Recipe
from morphoscope.train.export import export_scorer
from morphoscope.train.lite_patches import LITE
from morphoscope.train.patch_networks import PatchNet
from morphoscope.train.score_job import ScorerTraining, prepare
from morphoscope.train.score_loop import best_temperature
from morphoscope.train.score_refusals import refuse_unfit, refuse_useless

PARTS = ("train", "validation", "test")
MOST_JUDGED = 200  # learnt images that are judged beside those held out
ENOUGH = 19  # groups (of images) for an interval of 95 %, see `half_width`
Progress = Callable[[str, int, float], None]


@dataclass(frozen=True)
class Trained:
    """A trained model's card, `parts` (counts and rates by part of the data and class), what was skipped and what was assumed.

    `started`: it went on from a model, which may have learnt what was held out here.
    """

    card: ModelCard
    parts: pd.DataFrame
    skipped: tuple[str, ...]
    notes: tuple[str, ...]
    started: bool = False


def train_scorer(
    data: Path,
    output: Path,
    recipe: Recipe,
    *,
    start: Path | None = None,
    freeze: str | None = None,
    progress: Progress | None = None,
) -> Trained:
    """Train a model of patches on labelled images and write it to one .onnx file.

    The images (or groups of images) are dealt to `train.bands` parts; `train.folds` of them are tested in turn, by a network
    that has learnt four in five of the others, for as many epochs as were best on the fifth. From these networks come the
    metrics, the thresholds, the temperature and the errors of extents on the card. The model that is written has then learnt
    all images for as many epochs (half of the most at least), the rate let down to the end.

    Args:
        data: labelled images in a layout of `io.score_data.read_score_data`.
        output: the .onnx file.
        recipe: settings, [train] and the patch of [score].
        start: a model of patches to start from; what it has learnt is named on the card, too. Where that may be what is held out
            here, the card's limits and the notes say so.
        freeze: `backbone` keeps all of `start` but its last layers as it is.
        progress: called with (stage, epoch, mean loss).

    Raises:
        InputError, ModelError, UsageError: as the message says.
    """
    refuse_useless(recipe, start, freeze)
    say = progress or (lambda stage, epoch, loss: None)
    say("images and labels read", 0, float("nan"))
    job, skipped = prepare(data, recipe, name=output.stem, start=start, freeze_backbone=freeze is not None)
    refuse_unfit(job)
    found: list[_Fold] = []
    for fold in range(recipe.train.folds):
        stage = f"part {fold + 1} of {recipe.train.bands} held out"
        found.append(_held_out(job, fold, progress=partial(say, stage)))
    parts = {part: pooled([one.parts[part] for one in found]) for part in PARTS} if found else {}
    network = _learn_all(job, [one.found for one in found], progress=partial(say, "all images"))
    card, tables = job.card(), {part: class_table(one, intervals=part == "test") for part, one in parts.items()}
    if found:
        temperature = round(float(np.exp(np.mean(np.log([one.temperature for one in found])))), 3)
        card = job.card(temperature=temperature, thresholds=parts["test"].thresholds, metrics=_metrics(parts, tables))
        own = {"extent_error": _extent_error(parts["test"]), "extent_shared": extent_shared(parts["test"], start)}
        card = card.model_copy(update=own)
    leaks = leak(job.data.name, start) if found and start else ""
    card = card.model_copy(update={"limits": "; ".join(filter(None, (card.limits, leaks)))})
    card = export_scorer(network, card, output)
    notes = (*job.data.notes, leaks) if leaks else job.data.notes
    return Trained(card, part_table(parts, tables), tuple(skipped), notes, start is not None)


def leak(name: str, start: Path) -> str:
    """What is to be said where a model may have learnt the data of a name before; nothing where it names others only."""
    before = [source.name for source in read_card(start).data]
    if before and name not in before:
        return ""
    why = f"had learnt data named {name}, too" if before else "does not say what it has learnt"
    return (
        f"the model that it started from {why}: the figures, thresholds and intervals on this card may come from images that "
        "were not new to it, and may flatter"
    )


@dataclass(frozen=True)
class _Fold:
    """What a network that has learnt a part of the images says of all parts; `found` is its number of epochs or its penalty."""

    parts: dict[str, Judged]
    temperature: float
    found: float


def _held_out(job: ScorerTraining, fold: int, *, progress: Callable[[int, float], None]) -> _Fold:
    """Train without a part and judge all parts."""
    chosen = job.split(fold)
    if job.plan.network == LITE:
        progress(0, float("nan"))
        network, found = job.learn_head(chosen.train.tolist(), chosen.validation.tolist())
        temperature = job.head_temperature(network, chosen.validation.tolist())
    else:
        held = job.held(chosen.validation.tolist())
        network, found = job.learn(chosen.train.tolist(), held, progress=progress)
        temperature = best_temperature(network, held, job.fit)
    learnt = np.random.default_rng(0).permutation(chosen.train)[:MOST_JUDGED]
    numbers = {"train": learnt, "validation": chosen.validation, "test": chosen.test}
    with TemporaryDirectory() as scratch:
        path = Path(scratch) / "fold.onnx"
        export_scorer(network, job.card(temperature=temperature), path)
        scorer = load_scorer(path, threads=job.recipe.run.threads)
        parts = {part: judge(scorer, job.some(some.tolist()))[0] for part, some in numbers.items()}
    valid = parts["validation"]
    limits = tuple(best_threshold(true, score) for true, score in zip(valid.positive.T, valid.score.T, strict=True))
    return _Fold({part: replace(one, thresholds=limits) for part, one in parts.items()}, temperature, found)


def _learn_all(job: ScorerTraining, found: Sequence[float], *, progress: Callable[[int, float], None]) -> PatchNet:
    """A network that has learnt all images as was best where parts were held out."""
    everything = range(len(job.pictures))
    if job.plan.network == LITE:
        progress(0, float("nan"))
        return job.learn_head(everything, strength=float(np.exp(np.mean(np.log(found)))) if found else None)[0]
    epochs = max(int(np.median(found)), job.fit.epochs // 2) if found else None
    return job.learn(everything, epochs=epochs, progress=progress)[0]


def _metrics(parts: dict[str, Judged], tables: dict[str, pd.DataFrame]) -> dict[str, float]:
    """Headline numbers of the test part, and the same of the other parts under their names."""
    found: dict[str, float] = {}
    for part, judged in parts.items():
        extents = pd.DataFrame() if judged.answer == "exclusive" else extent_table(judged)
        numbers = headline(judged, tables[part], extents)
        found |= numbers if part == "test" else {f"{part}_{name}": value for name, value in numbers.items()}
    return found


def _extent_error(judged: Judged) -> dict[str, float]:
    if judged.answer == "exclusive" or len(set(judged.group.tolist())) < ENOUGH:
        return {}
    table = extent_table(judged)
    return {row["class"]: round(float(row["half95"]), 4) for _, row in table.iterrows() if row["class"] != ALL}


def extent_shared(judged: Judged, start: Path | None = None) -> dict[str, float]:
    """What the errors of extents of one group share, by class; of the model it started from where the groups cannot tell.

    Groups are whatever the labelled data deal together: films, days, microscopes.
    """
    if judged.answer == "exclusive":
        return {}
    errors = judged.extent - judged.true_extent
    found = {name: shared_half_width(wrong, judged.group_of_image) for name, wrong in zip(judged.classes, errors.T, strict=True)}
    known = {name: round(width, 4) for name, width in found.items() if np.isfinite(width)}
    before = read_card(start).extent_shared if start else {}
    return {name: known.get(name, before.get(name, 0.0)) for name in judged.classes if name in known or name in before}


def part_table(parts: dict[str, Judged], tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """The `class_table` of each part, with the columns `part` and `images`."""
    named = [tables[part].assign(part=part, images=len(one.files)) for part, one in parts.items()]
    return pd.concat(named, ignore_index=True) if named else pd.DataFrame()
