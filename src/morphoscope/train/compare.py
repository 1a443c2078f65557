"""Backbones and ways to learn side by side: each answers the same images, held out in the same parts."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from morphoscope.errors import InputError, UsageError
from morphoscope.measure.class_answers import ClassAnswers, calibration_metrics
from morphoscope.measure.classification import bootstrap
from morphoscope.measure.judged import ALL, class_table
from morphoscope.models.card import ModelCard
from morphoscope.models.classify import CLASSES, load_classifier
from morphoscope.models.image_view import STANDARD
from morphoscope.recipe import Recipe
from morphoscope.recipe.telling import TrainRecipe
from morphoscope.train.backbones import DEFAULT
from morphoscope.train.class_data import Progress, silent
from morphoscope.train.class_figures import honest
from morphoscope.train.class_folds import deal_parts
from morphoscope.train.class_heads import MOST_KNOWN
from morphoscope.train.class_job import TUNED, ClassTraining, prepare
from morphoscope.train.class_network import ClassNet
from morphoscope.train.export import export_classifier

METHODS: tuple[str, ...] = get_args(TrainRecipe.model_fields["method"].annotation)
TIMED, WARM = 24, 3  # images that answers are timed with, and those before them


@dataclass(frozen=True)
class Plan:
    """What is compared: each of `backbones` with each of `methods`, in so many `folds`.

    `by_image` deals images to the folds for themselves even where they have groups, which flatters; `weights` are files of
    weights, by backbone.
    """

    backbones: tuple[str, ...] = (DEFAULT,)
    methods: tuple[str, ...] = METHODS
    folds: int = 5
    by_image: bool = False
    weights: Mapping[str, Path] | None = None


@dataclass(frozen=True)
class Comparison:
    """Tables of a comparison.

    `table`: a row per backbone and method; `folds`: accuracy in each fold; `answers`: what each said of each image; `notes`: what
    was found in the data; `skipped`: images that could not be used.
    """

    table: pd.DataFrame
    folds: pd.DataFrame
    answers: dict[tuple[str, str], ClassAnswers]
    plan: Plan
    notes: tuple[str, ...]
    skipped: tuple[str, ...]


def compare_classifiers(data: Path, recipe: Recipe, plan: Plan | None = None, *, progress: Progress = silent) -> Comparison:
    """Train classifiers with several backbones and methods on the same folds, and judge them on what each fold holds out.

    Near copies that the first backbone finds are one group for all. Probabilities are calibrated on the other folds. Intervals
    are of 95 %, by bootstrap over groups.

    Args:
        data: labelled images, as for `train classify`.
        recipe: settings, [train]; its backbone, method, weights and folds are those of the plan.
        plan: what is compared.
        progress: called with (stage, step, loss).

    Returns:
        The table has, of each backbone and method: `accuracy` and macro `f1` with bounds, how far accuracy is `behind` the best
        (paired, with bounds), `ece` after and `ece_before` calibration with bounds, `train_s` (seconds of one training: all
        images read and seen, and learnt once, mean of the folds), `ms_per_image` (scaled and answered, without reading) and `mb`
        of the model file.

    Raises:
        UsageError: no such backbone or method, or fewer than two folds.
        InputError: too few images or groups.
    """
    plan = plan or Plan()
    _refuse(plan)
    rows, folds, answers = [], [], dict[tuple[str, str], ClassAnswers]()
    first: ClassTraining | None = None
    for backbone in plan.backbones:
        ready = dict[bool, tuple[ClassTraining, float]]()
        for method in plan.methods:
            tuned = method == TUNED
            settings = _settings(recipe, plan, backbone, method)
            if tuned not in ready:
                started = time.perf_counter()
                job = prepare(data, settings, progress=_named(progress, backbone))
                ready[tuned] = _as_first(job, first, plan), time.perf_counter() - started
            job, seconds = ready[tuned]
            first = first or job
            job = replace(job, recipe=settings)
            said, learning = _held_out(job, _named(progress, f"{backbone}, {method}"))
            answers[backbone, method] = said
            own: dict[str, str | float] = {"backbone": backbone, "method": method}
            rows.append(own | _row(said) | _cost(job, seconds + learning / plan.folds))
            folds += [own | one for one in _by_fold(said, job)]
    assert first is not None
    table = pd.DataFrame(rows)
    return Comparison(_behind(table, answers), pd.DataFrame(folds), answers, plan, first.notes, first.images.data.skipped)


def _refuse(plan: Plan) -> None:
    from morphoscope.train.backbones import BACKBONES

    for what, given, known in (("backbone", plan.backbones, tuple(BACKBONES)), ("method", plan.methods, METHODS)):
        strange = [name for name in given if name not in known]
        if strange or not given:
            raise UsageError(f"wanted a {what} of {', '.join(known)}, got {', '.join(strange) or 'none'}")
        if len(set(given)) < len(given):
            raise UsageError(f"wanted each {what} once, got {', '.join(given)}")
    lost = [name for name in plan.weights or {} if name not in plan.backbones]
    if lost:
        raise UsageError(f"weights are given for {', '.join(lost)}, which is not compared: name it with --backbone too")
    if plan.folds < 2:
        raise UsageError(f"wanted two folds or more, got {plan.folds}")


def _settings(recipe: Recipe, plan: Plan, backbone: str, method: str) -> Recipe:
    """The recipe for one row of the table."""
    own = (plan.weights or {}).get(backbone)
    given = recipe.train.model_dump(exclude_unset=True) | {"backbone": backbone, "method": method, "bands": plan.folds}
    given = {name: value for name, value in given.items() if name not in ("folds", "weights")}
    train = TrainRecipe.model_validate(given | ({"weights": str(own)} if own else {}))
    return recipe.model_copy(update={"train": train})


def _named(progress: Progress, name: str) -> Progress:
    return lambda stage, step, loss: progress(f"{name}: {stage}", step, loss)


def _as_first(job: ClassTraining, first: ClassTraining | None, plan: Plan) -> ClassTraining:
    """The training with the images, groups and parts of the first one."""
    images = job.images
    if first is not None:
        place = {one.name: k for k, one in enumerate(images.data.examples)}
        known = [one for one in first.images.data.examples if one.name in place]
        images = images.some([place[one.name] for one in known])
        images = replace(images, data=replace(images.data, examples=tuple(known)))
    groups = [one.name for one in images.data.examples] if plan.by_image else images.groups
    if len(set(groups)) < plan.folds:
        raise InputError(f"wanted {plan.folds} folds, the images are of {len(set(groups))} groups only; name fewer with --folds")
    part = deal_parts(groups, images.targets, parts=plan.folds, seed=job.recipe.train.seed)
    return replace(job, images=images, part=part)


def _held_out(job: ClassTraining, progress: Progress) -> tuple[ClassAnswers, float]:
    """What was said of images held out, and the seconds that all folds took."""
    started = time.perf_counter()
    held = job.hold_out(progress)
    seconds = time.perf_counter() - started
    if held is None or not len(held.answered):
        raise InputError("no image can be held out: each class wants images of two groups or more; add images")
    told, examples = honest(held, job.images), job.images.data.examples
    said = ClassAnswers(
        classes=job.images.data.classes,
        files=tuple(examples[k].name for k in held.answered),
        group=told.group,
        truth=told.truth,
        probability=told.probability.astype(float),
        raw=told.before.astype(float),
        foreign=held.foreign[held.answered].astype(float),
    )
    return said, seconds


def _row(said: ClassAnswers) -> dict[str, str | float]:
    main = class_table(said.judged).set_index("class").loc[ALL]
    names = [f"{name}{end}" for name in ("accuracy", "f1") for end in ("", "_low", "_high")]
    calibration = {name: value for name, value in calibration_metrics(said).items() if "true_probabilities" not in name}
    counts: dict[str, str | float] = {"images": len(said.files), "groups": int(said.group.max()) + 1}
    return counts | {name: float(main[name]) for name in names} | calibration


def _by_fold(said: ClassAnswers, job: ClassTraining) -> list[dict[str, str | float]]:
    part = dict(zip((one.name for one in job.images.data.examples), job.part.tolist(), strict=True))
    of = np.array([part[name] for name in said.files])
    return [{"fold": k, "images": int((of == k).sum()), "accuracy": float(said.right[of == k].mean())} for k in np.unique(of)]


def _cost(job: ClassTraining, seconds: float) -> dict[str, str | float]:
    """Seconds of a training; milliseconds an image and megabytes of the model file, which weights of chance have, too."""
    examples, known = job.images.data.examples, min(len(job.images.truth), MOST_KNOWN)
    network = ClassNet(job.backbone, classes=len(job.images.data.classes), known=known, head=job.how.head)
    card = ModelCard(
        name="timed",
        task="classify",
        classes=job.images.data.classes,
        preprocess=STANDARD,
        postprocess=CLASSES,
        view_px=job.view_px,
    )
    with TemporaryDirectory() as scratch:
        path = Path(scratch) / "timed.onnx"
        export_classifier(network, card, path)
        classifier, spent = load_classifier(path, threads=job.recipe.run.threads), []
        for image in [one.image() for one in (*examples[:WARM], *examples[:TIMED])]:
            started = time.perf_counter()
            classifier.answers([classifier.prepare(image)])
            spent.append(time.perf_counter() - started)
        return {"train_s": seconds, "ms_per_image": 1e3 * float(np.median(spent[WARM:])), "mb": path.stat().st_size / 1e6}


def _behind(table: pd.DataFrame, answers: Mapping[tuple[str, str], ClassAnswers]) -> pd.DataFrame:
    """The table with how much less accurate each is than the best, on the images that both have answered."""
    best = answers[tuple(table.loc[table["accuracy"].idxmax(), ["backbone", "method"]])]
    rows = [_difference(best, answers[b, m]) for b, m in zip(table["backbone"], table["method"], strict=True)]
    return table.assign(**{name: [row[k] for row in rows] for k, name in enumerate(("behind", "behind_low", "behind_high"))})


def _difference(best: ClassAnswers, other: ClassAnswers) -> Sequence[float]:
    right = dict(zip(other.files, other.right.tolist(), strict=True))
    both = np.array([k for k, name in enumerate(best.files) if name in right])
    less = best.right[both].astype(float) - np.array([right[best.files[k]] for k in both], float)
    group: NDArray[np.int64] = np.unique(best.group[both], return_inverse=True)[1].astype(np.int64)
    low, high = bootstrap(lambda weights: weights @ less / weights.sum(), group)
    return float(less.mean()), float(low), float(high)
