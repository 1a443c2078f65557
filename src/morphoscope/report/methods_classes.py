"""The methods paragraph and the citations of a run of `classify`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from morphoscope.report.citing import cited, inference

MODARRES = (
    "M. H. Modarres, R. Aversa, S. Cozzini, R. Ciancio, A. Leto, G. P. Brandino, Neural network for nanoscience scanning "
    "electron microscope image recognition, Scientific Reports 7 (2017) 13282, doi:10.1038/s41598-017-13565-z"
)
TEMPERATURE = "C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, On calibration of modern neural networks, ICML (2017)"
SETS = "M. Sadinle, J. Lei, L. Wasserman, Least ambiguous set-valued classifiers, J. Am. Stat. Assoc. 114 (2019) 223"
GROUPS = (
    "R. Dunn, L. Wasserman, A. Ramdas, Distribution-free prediction sets for two-layer hierarchical models, J. Am. Stat. Assoc. "
    "118 (2023) 2491"
)
ACCEPTED = "Y. Geifman, R. El-Yaniv, Selective classification for deep neural networks, NeurIPS (2017)"
TESTED = "A. N. Angelopoulos et al., Learn then test: calibrating predictive algorithms, Ann. Appl. Stat. 19 (2025) 1641"


def classify_paragraph(run: Mapping[str, Any], card: Mapping[str, Any]) -> str:
    """Plain text to paste into a paper, said from what the run did."""
    model, promise, decisions = run.get("model") or {}, run.get("promise") or {}, run.get("decisions") or {}
    version = (run.get("versions") or {}).get("morphoscope", "")
    wanted = (run.get("recipe") or {}).get("classify") or {}
    images = (run.get("counts") or {}).get("images", 0)
    said = [
        f"{images} image{'s were' if images != 1 else ' was'} put into the categories "
        f"{', '.join(card.get('classes') or ())} by "
        f'the network "{card.get("name")}" (morphoscope {version}, SHA-256 {str(model.get("sha256"))[:12]}...). Info bars were '
        "cut away and each image was brought to mean 0 and standard deviation 1.",
        "Probabilities are calibrated by a temperature." if promise else "",
    ]
    if promise.get("possible"):
        said.append(
            f"Answers from a probability of {promise['threshold']:.4g} on were accepted: of the images that the network had "
            f"not learnt, groups counted as one, {100 * promise['held_out_share']:.1f} % reach it, and of these at least "
            f"{100 * promise['accuracy']:.4g} % are right with {100 * promise['confidence']:.4g} % confidence (exact binomial "
            "tests in a fixed sequence)."
        )
    elif promise:
        said.append("No threshold could promise the accuracy that was asked for, so that nothing was accepted.")
    if promise:
        said.append(
            f"Prediction sets hold the true category in {100 * float(wanted.get('coverage', 0)):.4g} % of images (split "
            "conformal prediction, groups counted as one)."
        )
    said.append(
        "Images farther from those learnt than a limit, in the network's features, were called foreign. "
        + ", ".join(f"{name}: {count}" for name, count in decisions.items() if count)
        + "."
    )
    said.append(inference(run))
    return " ".join(part for part in said if part)


def classify_citations(run: Mapping[str, Any], card: Mapping[str, Any]) -> list[str]:
    """What to cite: the package, the idea, the statistics, the data, the model's training data."""
    sources = [MODARRES, *([TEMPERATURE, SETS, GROUPS, ACCEPTED, TESTED] if run.get("promise") else [])]
    return cited(run, card, "categories of images", sources)
