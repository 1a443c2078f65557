"""How good a classifier of whole images is on labelled ones: right answers, calibration, sets, acceptance, foreign images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from morphoscope.errors import InputError
from morphoscope.io.score_data import ScoreData, ScoreExample
from morphoscope.measure.class_answers import (
    ClassAnswers,
    Promises,
    Rest,
    answer_table,
    calibration_metrics,
    keep_promises,
    selective_table,
    top_table,
)
from morphoscope.measure.classification import share_interval
from morphoscope.measure.honest import ACCURACY, BETWEEN, COVERAGE, reliability
from morphoscope.measure.judged import Judged, class_table, confusion_table, headline, roc_table
from morphoscope.models.card import held_out_of
from morphoscope.models.classify import Classifier, probabilities

BATCH, READERS = 32, 2


@dataclass(frozen=True)
class ClassEvaluation:
    """Tables of an evaluation of classes of images.

    `frames`: a row per image (see `answer_table`); `by_class`: counts, accuracy, precision, recall, F1 and AUC of each class and
    of all, with intervals; `confusion`; `roc`; `reliability`: bins of confidence before and after calibration (column
    `probabilities`); `top`: the distribution of the top probability; `selective`: accuracy against the accepted share;
    `metrics`: the headline numbers; `sentence`: what is accepted, in words. `skipped` names images that could not be judged.
    """

    frames: pd.DataFrame
    by_class: pd.DataFrame
    confusion: pd.DataFrame
    roc: pd.DataFrame
    reliability: pd.DataFrame
    top: pd.DataFrame
    selective: pd.DataFrame
    metrics: dict[str, float]
    sentence: str
    judged: Judged = field(repr=False)
    skipped: tuple[str, ...] = ()

    @property
    def boundary(self) -> pd.DataFrame:
        """Rows of `frames` whose set names several classes or whose second class has a probability of `BETWEEN` or more.

        Those with the least between the first and the second class come first.
        """
        second = self.frames["probability"] - self.frames["margin"]
        near = (self.frames["classes_in_set"] > 1) | (second >= BETWEEN)
        return self.frames[near].sort_values("margin", kind="stable")


def evaluate_classifier(
    classifier: Classifier, data: ScoreData, *, accuracy: float = ACCURACY, coverage: float = COVERAGE
) -> ClassEvaluation:
    """Answers to labelled images against their labels.

    Intervals are of 95 %, by bootstrap over the images or, where the data have them, groups. Sets and acceptance are those that
    the images held out in training give; here they are put to the test. Images that cannot be read are skipped and named.

    Args:
        classifier: a loaded model.
        data: labelled images that the model has not learnt; they may lack classes of the model.
        accuracy: what is accepted shall be right in this share.
        coverage: the share of images whose set shall hold the true class.

    Raises:
        InputError: classes that the model does not know, or no image can be judged.
    """
    answers, skipped = answer_images(classifier, data)
    rest = Rest(held_out_of(classifier.card), classifier.card.unvalidated)
    return tabulate(answers, rest, accuracy=accuracy, coverage=coverage, skipped=skipped)


def answer_images(classifier: Classifier, data: ScoreData) -> tuple[ClassAnswers, list[str]]:
    """What a classifier says of labelled images, and the images that it cannot judge; see `evaluate_classifier`."""
    card = classifier.card
    if data.answer != "exclusive" or data.marked:
        raise InputError(
            f"the model gives each image one class, the labels are {data.answer}; wanted a folder per class, or a CSV file,label"
        )
    unknown = [name for name in data.classes if name not in card.classes]
    if unknown:
        raise InputError(f"the labels hold the classes {', '.join(unknown)}, the model knows {', '.join(card.classes)}")
    kept, logits, foreign, skipped = list[ScoreExample](), [], [], list(data.skipped)
    with ThreadPoolExecutor(READERS) as pool:
        for start in range(0, len(data.examples), BATCH):
            ready = list(_readable(data.examples[start : start + BATCH], pool, classifier, skipped))
            found = classifier.answers([image for _, image in ready])
            kept += [one for one, _ in ready]
            logits.append(found.logits)
            foreign.append(found.foreign)
    if not kept:
        raise InputError(f"none of the {len(skipped)} labelled images can be judged: {'; '.join(skipped[:3])}")
    z = np.concatenate(logits)
    groups = {group: k for k, group in enumerate(dict.fromkeys(one.group for one in kept))}
    answers = ClassAnswers(
        classes=tuple(card.classes),
        files=tuple(one.name for one in kept),
        group=np.array([groups[one.group] for one in kept]),
        truth=np.array([card.classes.index(data.classes[int(np.argmax(one.target))]) for one in kept if one.target is not None]),
        probability=probabilities(z, temperature=card.temperature).astype(float),
        raw=probabilities(z).astype(float),
        foreign=np.concatenate(foreign).astype(float),
    )
    return answers, skipped


def _readable(
    chunk: Sequence[ScoreExample], pool: ThreadPoolExecutor, classifier: Classifier, skipped: list[str]
) -> Iterator[tuple[ScoreExample, NDArray[np.float32]]]:
    """The images of a chunk as the network sees them; those that cannot be read are named in `skipped`."""

    def ready(one: ScoreExample) -> NDArray[np.float32] | str:
        try:
            return classifier.prepare(one.image())
        except InputError as error:
            return f"{one.name}: {error}"

    for one, image in zip(chunk, pool.map(ready, chunk), strict=True):
        if isinstance(image, str):
            skipped.append(image)
        else:
            yield one, image


def tabulate(
    answers: ClassAnswers, rest: Rest, *, accuracy: float, coverage: float, skipped: Sequence[str] = ()
) -> ClassEvaluation:
    """All tables of what was answered, its promises resting on what was held out in training."""
    judged = answers.judged
    by_class, promises = class_table(judged), keep_promises(answers, rest, accuracy=accuracy, coverage=coverage)
    metrics = headline(judged, by_class, pd.DataFrame()) | calibration_metrics(answers) | promises.metrics
    return ClassEvaluation(
        frames=answer_table(answers, promises),
        by_class=_with_sets(by_class, answers, promises),
        confusion=confusion_table(judged),
        roc=roc_table(judged),
        reliability=_reliability(answers),
        top=top_table(answers),
        selective=selective_table(answers),
        metrics=metrics | {"n_groups": float(len(np.unique(answers.group)))},
        sentence=promises.sentence,
        judged=judged,
        skipped=tuple(skipped),
    )


def _with_sets(by_class: pd.DataFrame, answers: ClassAnswers, promises: Promises) -> pd.DataFrame:
    """The table of classes with `n`, the share of its sets that hold it (`set_coverage`) and the share `accepted`.

    Where a class was found always or never its recall has Wilson's bounds for its groups.
    """
    truth, known = answers.truth, np.isfinite(promises.metrics["set_size"])
    inside = np.where(known, promises.sets[np.arange(len(truth)), truth], np.nan)
    masks = [*(truth == j for j in range(len(answers.classes))), np.ones(len(truth), bool)]
    rows = [(int(m.sum()), *(float(x[m].mean()) if m.any() else np.nan for x in (inside, promises.accepted))) for m in masks]
    table = by_class.join(pd.DataFrame(rows, columns=["n", "set_coverage", "accepted"]))
    for j in range(len(answers.classes)):
        if table.loc[j, "recall"] in (0.0, 1.0):
            groups = len(np.unique(answers.group[masks[j]]))
            table.loc[j, ["recall_low", "recall_high"]] = share_interval(float(table.loc[j, "recall"]), groups)
    return table


def _reliability(answers: ClassAnswers) -> pd.DataFrame:
    parts = []
    for name, p in (("before calibration", answers.raw), ("calibrated", answers.probability)):
        table = reliability(p.max(axis=1), p.argmax(axis=1) == answers.truth)
        table.insert(0, "probabilities", name)
        parts.append(table)
    return pd.concat(parts, ignore_index=True)
