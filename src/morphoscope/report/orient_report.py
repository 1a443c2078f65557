"""`report.html` of a run of `orient`: results, maps, the table of images, how they were found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from morphoscope.report.citing import cited
from morphoscope.report.page import number, span, table, text
from morphoscope.report.run_page import said_boxes, write_run_page
from morphoscope.report.score_cards import Card, score_headline
from morphoscope.report.sections import figures_section

MOST_ROWS = 60
MODARRES = (
    "M. H. Modarres, R. Aversa, S. Cozzini, R. Ciancio, A. Leto, G. P. Brandino, Neural network for nanoscience scanning "
    "electron microscope image recognition, Scientific Reports 7 (2017) 13282, doi:10.1038/s41598-017-13565-z"
)
LIU = "Z.-Q. Liu, Scale space approach to directional analysis of images, Applied Optics 30 (1991) 1369"
BIGUN = "J. Bigun, G. H. Granlund, Optimal orientation detection of linear symmetry, Proc. First ICCV (1987) 433"
REZAKHANIHA = (
    "R. Rezakhaniha et al., Experimental investigation of collagen waviness and orientation in the arterial adventitia using "
    "confocal laser scanning microscopy, Biomech. Model. Mechanobiol. 11 (2012) 461, doi:10.1007/s10237-011-0325-z"
)
JACKKNIFE = "B. Efron, C. Stein, The jackknife estimate of variance, Ann. Stat. 9 (1981) 586"
COLUMNS = {
    "aligned_fraction": "aligned fraction",
    "aligned_fraction_tensor": "by structure tensor",
    "aligned_fraction_lgo": "by gradient orientation",
    "wire_share": "share with wires",
    "S2": "S2",
    "director_deg": "direction (deg)",
    "coherence_length_px": "coherence length (px)",
    "coherence_length_nm": "(nm)",
}


def write_orient_report(
    folder: Path,
    *,
    run: Mapping[str, Any],
    table: pd.DataFrame,
    cards: Sequence[Card],
    quantities: pd.DataFrame,
    card: Mapping[str, Any],
    figures: Sequence[tuple[str, str]],
) -> Path:
    """Write the page into a run folder and return its path.

    Args:
        folder: the run folder; `figures/<name>.png` are read from it.
        run: content of run.json.
        table: `schema.ORIENTATION`.
        cards: the main results.
        quantities: `schema.QUANTITIES`.
        card: the model's card as plain values.
        figures: (name, caption).
    """
    return write_run_page(
        folder,
        run,
        card,
        facts=[f"{(run.get('counts') or {}).get('images', 0)} images of wires"],
        links=[("results", "Results"), ("figures", "Figures"), ("images", "Images"), ("quantities", "Quantities")],
        body=[
            said_boxes(run, "numbers"),
            score_headline(cards, [str(line) for line in run.get("findings") or ()]),
            figures_section(folder, figures, ()),
            _images(table),
        ],
        quantities=quantities,
        methods=(orient_paragraph(run, card), orient_citations(run, card)),
        images=len(table),
    )


def _images(images: pd.DataFrame) -> str:
    """A row per image, of many the first."""
    stacked = "frame" in images
    there = {column: name for column, name in COLUMNS.items() if column in images}
    rows = []
    for row in images.head(MOST_ROWS).to_dict("records"):
        cells = [text(row["file"]), *([str(row["frame"])] if stacked else [])]
        for column in there:
            between = span(round(row[f"{column}_low"], 3), round(row[f"{column}_high"], 3)) if f"{column}_low" in row else ""
            cells.append(number(row[column]) + (f' <span class="soft">({between})</span>' if between else ""))
        rows.append([*cells, text(row["doubt"])])
    said = f'<p class="soft">The first {MOST_ROWS} of {len(images)} images.</p>' if len(images) > MOST_ROWS else ""
    head = ["file", *(["frame"] if stacked else []), *there.values(), "doubt"]
    return f'<section id="images"><h2>Images</h2>{said}{table(head, rows, numeric=range(1, len(head) - 1))}</section>'


def orient_paragraph(run: Mapping[str, Any], card: Mapping[str, Any]) -> str:
    """Plain text to paste into a paper, said from what the run did."""
    model, version = run.get("model") or {}, (run.get("versions") or {}).get("morphoscope", "")
    images, wanted = (run.get("counts") or {}).get("images", 0), (run.get("recipe") or {}).get("orient") or {}
    radius = f"{wanted['radius_nm']:g} nm" if wanted.get("radius_nm") else f"{wanted.get('radius_px') or 32:g} px"
    said = [
        f'In {images} image{"s" if images != 1 else ""}, the network "{card.get("name")}" (morphoscope {version}, SHA-256 '
        f"{str(model.get('sha256'))[:12]}..., trained on rendered wires) gave for each pixel the probability of a wire, its "
        "direction and the probability that it is coherently aligned.",
        f"A wire is coherently aligned where the mean of cos 2(theta_q - theta) over the wires beside it, within {radius}, is "
        "0.75 or more; the aligned fraction is the share of the wires' area for which this holds.",
        "S2 is the length of the mean of exp(2 i theta) over wires, and the coherence length the distance at which the "
        "orientation correlation, less S2 squared, has fallen to 1/e.",
        "Intervals (95 %) are from a jackknife over blocks of the picture and the model's error on rendered pictures.",
    ]
    if wanted.get("compare"):
        said.append(
            "For comparison, the directions of edges were found by the structure tensor and judged in the same way, and windows "
            "two radii wide counted as aligned where the histogram of their gradients' orientation has a coherence of 0.75 or "
            "more (local gradient orientation, which depends on the side of the windows and falls with noise)."
        )
    said.append("Means are over images that show enough wires and where the methods do not differ widely.")
    return " ".join(said)


def orient_citations(run: Mapping[str, Any], card: Mapping[str, Any]) -> list[str]:
    """What to cite: the package, the idea, the estimators used, the data."""
    compared = ((run.get("recipe") or {}).get("orient") or {}).get("compare")
    sources = [MODARRES, JACKKNIFE, *([BIGUN, REZAKHANIHA, LIU] if compared else [])]
    return cited(run, card, "directions of wires", sources)
