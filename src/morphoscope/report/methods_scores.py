"""The methods paragraph and the citations of a run of `score`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from morphoscope.report.citing import cited, inference

DARKFIELD = (
    "N. Taherimakhsousi, B. P. MacLeod, F. G. L. Parlane, T. D. Morrissey, E. P. Booker, K. E. Dettelbach, C. P. Berlinguette, "
    "Quantifying defects in thin films using machine vision, npj Computational Materials 6 (2020) 111, "
    "doi:10.1038/s41524-020-00380-w"
)
MANN_KENDALL = (
    "H. B. Mann, Nonparametric tests against trend, Econometrica 13 (1945) 245; M. G. Kendall, Rank Correlation Methods, 4th "
    "ed., Griffin (1970)"
)
HAMED_RAO = (
    "K. H. Hamed, A. R. Rao, A modified Mann-Kendall trend test for autocorrelated data, J. Hydrology 204 (1998) 182, "
    "doi:10.1016/S0022-1694(97)00125-X"
)
SEN = "P. K. Sen, Estimates of the regression coefficient based on Kendall's tau, J. Am. Stat. Assoc. 63 (1968) 1379"
PROCESS = "C. E. Rasmussen, C. K. I. Williams, Gaussian Processes for Machine Learning, MIT Press (2006)"
BLOCKS = "H. R. Kuensch, The jackknife and the bootstrap for general stationary observations, Ann. Stat. 17 (1989) 1217"
ANSWERS = {
    "multi-label": "the probability of each class (classes may overlap)",
    "exclusive": "the probability of each class (classes exclude each other)",
    "ordinal": "the expected degree of each class over the highest",
}


def score_paragraph(run: Mapping[str, Any], card: Mapping[str, Any]) -> str:
    """Plain text to paste into a paper, said from what the run did (`told` in run.json)."""
    told, model = run.get("told") or {}, run.get("model") or {}
    version = (run.get("versions") or {}).get("morphoscope", "")
    images = (run.get("counts") or {}).get("images", 0)
    low, high = told.get("patch_px") or (0, 0)
    size = f"{low:.4g} px" if high <= 1.001 * low else f"{low:.4g} to {high:.4g} px"
    answer = ANSWERS.get(str(card.get("answer")), "a score of each class")
    if card.get("postprocess") == "neighbours-1":
        answer = "how far its features lie from those of good images"
    said = [
        f"{images} image{'s were' if images != 1 else ' was'} cut into square patches of {size}, and the network "
        f'"{card.get("name")}" (morphoscope {version}, SHA-256 {str(model.get("sha256"))[:12]}...) gave {answer} in each patch.',
        "The score S of a class is its mean over the patches of an image, the extent of the defect.",
        _intervals(told),
    ]
    if told.get("trend"):
        said.append(
            f"Trends over {told['trend']} were tested after Mann and Kendall (ties corrected, serial correlation after Hamed "
            "and Rao, p-values for all series and classes after Holm) and their rate is the Theil-Sen slope; changes within the "
            "model's error are not called trends."
        )
    if told.get("surface"):
        said.append(
            f"Response surfaces over {' and '.join(told['surface'])} are Gaussian processes with a Matern kernel (5/2), averaged "
            "over lengths and noise by their marginal likelihood; the next condition is the one whose measurement is expected "
            "to lower the variance of the surface most."
        )
    said.append(inference(run))
    return " ".join(part for part in said if part)


def _intervals(told: Mapping[str, Any]) -> str:
    own, drawn = told.get("model_error") or (), told.get("bootstrap") or ()
    said = []
    if own:
        said.append(f"Intervals (95 %) of {', '.join(own)} are the model's error on held-out images.")
    if drawn:
        said.append(f"Intervals of {', '.join(drawn)} are from a block bootstrap over patches (95 %), without the model's error.")
    return " ".join(said)


def score_citations(run: Mapping[str, Any], card: Mapping[str, Any]) -> list[str]:
    """What to cite: the package, the idea, the estimators used, the data, the model's training data."""
    told = run.get("told") or {}
    sources = [DARKFIELD]
    sources += [MANN_KENDALL, HAMED_RAO, SEN] if told.get("trend") else []
    sources += [PROCESS] if told.get("surface") else []
    sources += [BLOCKS] if told.get("bootstrap") else []
    return cited(run, card, "scoring of thin films", sources)
