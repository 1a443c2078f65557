"""The folder `evaluate` writes for a classifier of images: tables, metrics.json, figures, and a page with all of it."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from morphoscope import __version__
from morphoscope.errors import InputError
from morphoscope.evaluate_classes import ClassEvaluation
from morphoscope.io.score_data import ScoreData
from morphoscope.models.card import ModelCard
from morphoscope.report.class_evaluation_figures import (
    accuracy_against_share,
    one_of_each_group,
    picture_sheet,
    reliability_diagram,
    set_sizes,
    top_probability,
)
from morphoscope.report.page import box, number, plain, span, table, text, write_page
from morphoscope.report.score_evaluation import confusion_matrix, roc_curves
from morphoscope.report.sections import figures_section, footer
from morphoscope.report.style import nothing_drawn, save_figure

TABLES = ("frames", "by_class", "confusion", "roc", "reliability", "top", "selective", "boundary")
CAPTIONS = {
    "confusion": "Images of each true class (rows) by the class that was found; colours are shares of the row.",
    "reliability": (
        "Share of right answers against the probability of the answer, in bins, with 95 % intervals (Wilson); bars: the share "
        "of images in each bin. On the dashed line probabilities are what they say. ECE: expected calibration error, 15 bins."
    ),
    "top_probability": "Probability of the answer where it was right and where it was wrong; dashed: accepted from here on.",
    "acceptance": "Accuracy of the most certain answers against their share; the dot is what the model's threshold accepts.",
    "sets": "How many classes the prediction sets name, by true class, and the share of sets that hold it.",
    "roc": "Receiver operating characteristic of each class against the others.",
    "boundary": "Images at a boundary: sets of several classes, or a second class of 10 % or more; closest calls first.",
    "mistakes": "Wrong answers, the most certain ones first, one image of each group: errors of the model, or of the labels.",
}


def write_class_evaluation(folder: Path, result: ClassEvaluation, data: ScoreData, card: ModelCard) -> None:
    """Write all tables as CSV, metrics.json, the figures and report.html.

    Args:
        folder: made if it is not there.
        result: what `evaluate_classifier` gave.
        data: the labelled images, for pictures.
        card: of the model.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in TABLES:
        getattr(result, name).to_csv(folder / f"{name}.csv", index=False)
    clean = {k: v if math.isfinite(v) else None for k, v in result.metrics.items()}
    (folder / "metrics.json").write_text(json.dumps(clean, indent=2) + "\n", encoding="utf-8")
    drawn, left_out = list[tuple[str, str]](), list[tuple[str, str]]()
    for name, figure in _figures(result, data).items():
        if nothing_drawn(figure):
            left_out.append((name, nothing_drawn(figure).rstrip(".")))
        else:
            save_figure(figure, folder / "figures", name)
            drawn.append((name, CAPTIONS[name]))
    body = "\n".join(
        [
            _header(result, data, card),
            box("warn", "Left out", list(result.skipped)),
            _main(result),
            _classes(result.by_class),
            figures_section(folder, drawn, left_out),
            footer({"versions": {"morphoscope": __version__}}),
        ]
    )
    write_page(folder / "report.html", f"{card.name} on {data.name}", body)


def _figures(result: ClassEvaluation, data: ScoreData) -> dict[str, Figure]:
    wrong = result.frames[~result.frames["right"]].sort_values("probability", ascending=False, kind="stable")
    pictures = _pictures(data, [name for rows in (result.boundary, wrong) for name in one_of_each_group(rows)["file"]])
    threshold = result.metrics["accept_threshold"]
    return {
        "confusion": confusion_matrix(result),
        "roc": roc_curves(result),
        "reliability": reliability_diagram(result.reliability, result.metrics),
        "top_probability": top_probability(result.top, threshold=threshold if math.isfinite(threshold) else None),
        "acceptance": accuracy_against_share(result.selective, result.metrics),
        "sets": set_sizes(result.frames, result.by_class),
        "boundary": picture_sheet(result.boundary, pictures, empty="No set names several classes, and no second class has 10 %."),
        "mistakes": picture_sheet(wrong, pictures, empty="No answer was wrong."),
    }


def _pictures(data: ScoreData, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Pictures by name, of those that can be read."""
    found, wanted = dict[str, NDArray[Any]](), set(names)
    for one in data.examples:
        if one.name in wanted:
            try:
                found[one.name] = one.image()
            except InputError:
                continue
    return found


def _header(result: ClassEvaluation, data: ScoreData, card: ModelCard) -> str:
    m = result.metrics
    facts = [f"model {card.name}", f"data {data.name}", f"{m['n_images']:.0f} images in {m['n_groups']:.0f} groups"]
    facts.append(", ".join(plain(name) for name in card.classes))
    line = " &middot; ".join(text(fact) for fact in facts)
    return f'<header><h1>{text(card.name)} on {text(data.name)}</h1><div class="soft">{line}</div></header>'


def _main(result: ClassEvaluation) -> str:
    m = result.metrics
    rows = [[text(name), value, span(m.get(f"{key}_low"), m.get(f"{key}_high"))] for name, key, value in main_rows(m)]
    said = f"<p>Acceptance: {text(result.sentence)}.</p>"
    head = ["", "", "95 % interval"]
    return f'<section id="results"><h2>Results</h2>{table(head, rows, numeric=(1, 2))}{said}</section>'


def main_rows(metrics: dict[str, float]) -> list[tuple[str, str, str]]:
    """The main figures: words, name of the metric, value as markup."""
    m = metrics
    named = [
        ("Accuracy", "accuracy"),
        ("Macro F1", "f1"),
        ("Area under ROC", "auc"),
        ("Calibration error (15 bins)", "ece"),
        ("Calibration error before calibration", "ece_before"),
        ("Calibration error that true probabilities would show, mean", "ece_of_true_probabilities"),
        (f"Sets that hold the true class (wanted {100 * m['target_coverage']:g} %)", "set_coverage"),
        ("Classes in a set, mean", "set_size"),
        ("Images with several classes in their set", "several_classes"),
        (f"Accepted (wanted {100 * m['target_accuracy']:g} % right)", "accepted"),
        ("Right among the accepted", "accepted_accuracy"),
        ("Foreign: like no image learnt", "foreign"),
    ]
    return [(words, key, number(m[key])) for words, key in named]


def _classes(by_class: pd.DataFrame) -> str:
    columns = ["precision", "recall", "f1", "auc", "set_coverage", "accepted"]
    rows = []
    for row in by_class.to_dict("records"):
        recall = span(row["recall_low"], row["recall_high"])
        rows.append([text(row["class"]), str(row["n"]), *(number(row[name]) for name in columns), recall])
    head = ["class", "images", "precision", "recall", "F1", "AUC", "in its sets", "accepted", "recall, 95 %"]
    return f"<section><h2>Classes</h2>{table(head, rows, numeric=range(1, len(head)))}</section>"
