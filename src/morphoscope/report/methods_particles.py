"""How sizes, samples and structure of particles were found, in sentences for a paper, and what to cite for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LEGLAND = (
    "D. Legland, K. Kieu, M.-F. Devaux, Computation of Minkowski measures on 2D and 3D binary images, "
    "Image Analysis & Stereology 26 (2007) 83-92"
)
MILES = (
    "R. E. Miles, On the elimination of edge effects in planar sampling, in: Stochastic Geometry, Wiley (1974) 228-247; C. "
    " Lantuejoul, On the estimation of mean values in individual analysis of particles, Microscopica Acta Suppl. 4 (1980) 267-273"
)
STOYAN = "J. Ohser, D. Stoyan, On the second-order and orientation analysis of planar stationary point processes, "
STOYAN += "Biometrical Journal 23 (1981) 523-533"
NELSON = "D. R. Nelson, B. I. Halperin, Dislocation-mediated melting in two dimensions, Physical Review B 19 (1979) 2457-2484"
BADDELEY = (
    "A. Baddeley, R. D. Gill, Kaplan-Meier estimators of distance distributions for spatial point processes, "
    "Annals of Statistics 25 (1997) 263-292"
)
SIZED, STRUCTURED, SAMPLES = "particles sized", "frames with structure", "samples"  # keys of a run's counts


def particle_sentences(run: Mapping[str, Any]) -> str:
    """Sizes, samples and structure; empty where a run tells nothing of them.

    Args:
        run: content of run.json; `counts` say what there is.
    """
    counts, physics = run.get("counts") or {}, (run.get("recipe") or {}).get("physics") or {}
    parts = [
        _sizes(run, physics) if counts.get(SIZED) else "",
        _samples() if counts.get(SAMPLES) else "",
        _structure() if counts.get(STRUCTURED) else "",
    ]
    return " ".join(part for part in parts if part)


def particle_citations(run: Mapping[str, Any]) -> list[str]:
    """What the estimators of sizes and structure rest on."""
    counts, physics = run.get("counts") or {}, (run.get("recipe") or {}).get("physics") or {}
    cited = [LEGLAND] if counts.get(SIZED) else []
    cited += [MILES] if counts.get(SIZED) and physics.get("edge") != "keep" else []
    return cited + ([STOYAN, NELSON, BADDELEY] if counts.get(STRUCTURED) else [])


def _sizes(run: Mapping[str, Any], physics: Mapping[str, Any]) -> str:
    text = (
        "Particles were measured on their masks: the diameter is that of the disc of equal area, the perimeter that of Crofton's "
        "formula in four directions (Legland et al. 2007), Feret diameters are those of calipers around the convex hull, and the "
        "aspect ratio is that of the ellipse of equal second moments."
    )
    if physics.get("edge") == "keep":
        text += " Particles on the edge of the field were kept as they are seen."
    else:
        text += (
            " For sizes, particles cut by the edge of the field were left out and each other one was weighted by the inverse of "
            "the chance to be seen whole (Miles 1974; Lantuejoul 1980); the number per area is the sum of these weights over the "
            "area."
        )
    text += " Log-normal distributions were fitted by maximum likelihood."
    if (run.get("counts") or {}).get("fields of view", 0) > 1:
        return text + (
            " Intervals come from the differences between fields of view (jackknife, t with the number of fields less one; "
            "medians after Woodruff 1952, half a step wider where sizes come in steps)."
        )
    frames = " of a frame" if (run.get("counts") or {}).get("frames") != 1 else ""
    return text + (
        f" Intervals come from the particles{frames} of one field of view (jackknife; medians after Woodruff 1952, half a step "
        "wider where sizes come in steps) and do not hold the variance between places."
    )


def _samples() -> str:
    return (
        "Samples were compared by Welch's test on their means with the variance between fields of view; p-values are for all "
        "pairs together (Holm 1979), effect sizes are differences over the pooled standard deviation of particles."
    )


def _structure() -> str:
    return (
        "The pair correlation g(r) was corrected for the edge by translation (Ohser & Stoyan 1981), with intervals from a "
        "jackknife over 36 tiles of the field; the structure factor was summed over the waves that fit the field. Hexatic order "
        "is |psi_6| over Delaunay neighbours (Nelson & Halperin 1979), of particles whose neighbours are known whatever lies "
        "outside the field; distances to the nearest neighbour beyond the edge were taken as censored (Baddeley & Gill 1997)."
    )
