"""How particles were outlined, or spots found without training, in sentences for a paper, and what to cite for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

OTSU = "N. Otsu, A threshold selection method from gray-level histograms, IEEE Transactions on Systems, Man, and Cybernetics 9 "
OTSU += "(1979) 62-66"
WATERSHED = "S. Beucher, C. Lantuejoul, Use of watersheds in contour detection, International Workshop on Image Processing (1979)"
SPOTS = (
    "J. C. Crocker, D. G. Grier, Methods of digital video microscopy for colloidal studies, "
    "Journal of Colloid and Interface Science 179 (1996) 298-310"
)
THRESHOLDS = {
    "otsu": "Otsu's threshold of each picture",
    "multi-otsu": "Otsu's thresholds of each picture for {levels} classes of grey",
    "local": "Otsu's threshold of each picture less its local mean ({window_px:g} px wide)",
    "level": "one grey level for all pictures, {level:g}",
}

OUTLINES = {
    "learnt": " Outlines are those it learnt from people.",
    "half level": " Outlines were moved to half level: half-way between the grey level of each particle and its surroundings.",
}


def outlined(card: Mapping[str, Any]) -> bool:
    """Whether a model card stands for masks, or for spots found without training."""
    return card.get("task") == "segment" or _is_spots(card)


def mask_sentences(run: Mapping[str, Any], card: Mapping[str, Any]) -> str:
    """How masks or spots were found.

    Args:
        run: content of run.json; the settings are those of its recipe.
        card: the card of what found them, as plain values.
    """
    segment = (run.get("recipe") or {}).get("segment") or {}
    if _is_spots(card):
        return (
            f"Round spots of about {segment.get('spot_px')} px were found without training, as local maxima of the band-passed "
            "picture with centroids refined (Crocker & Grier 1996)."
        )
    if card.get("name") in THRESHOLDS:
        return _threshold(str(card["name"]), segment)
    model, version = run.get("model") or {}, (run.get("versions") or {}).get("morphoscope", "")
    sha = str(model.get("sha256") or "")[:12]
    identity = ", ".join(filter(None, [f"morphoscope {version}".strip(), f"SHA-256 {sha}..." if sha else ""]))
    text = f'Particles were outlined by the per-pixel convolutional network "{card.get("name")}" ({identity})'
    text += _magnification(model, card, segment)
    if card.get("postprocess") == "instances-1":
        text += ", touching ones parted by flooding from their cores"
    return f"{text}.{OUTLINES.get(str(model.get('outline')), '')}"


def _magnification(model: Mapping[str, Any], card: Mapping[str, Any], segment: Mapping[str, Any]) -> str:
    """How large the network saw the frames, against how they are stored."""
    resampled, magnified = model.get("resampled_by") or 1, model.get("magnified")
    if magnified is not None:
        return "" if abs(float(magnified) - 1) < 1e-6 else f", for which frames were magnified {float(magnified):.4g} times"
    text = f", for which frames were resampled by a factor of {float(resampled):.4g}" if abs(float(resampled) - 1) > 1e-6 else ""
    if len(card.get("zooms") or ()) > 1 and segment.get("zoom") is None:
        text += ", for which each frame was magnified as suits its particles best (column magnified of frames.parquet)"
    return text


def mask_citations(card: Mapping[str, Any]) -> list[str]:
    """What the finder without training rests on."""
    if _is_spots(card):
        return [SPOTS]
    if card.get("task") != "segment" or card.get("name") not in THRESHOLDS:
        return []
    return [WATERSHED] if card["name"] == "level" else [OTSU, WATERSHED]


def _is_spots(card: Mapping[str, Any]) -> bool:
    return card.get("name") == "spots" and card.get("postprocess") == "none"


def _threshold(name: str, segment: Mapping[str, Any]) -> str:
    given = {"levels": 3, "window_px": 0, "level": 0, **segment}
    text = f"Particles were outlined without training by {THRESHOLDS[name].format(**given)}"
    median, blur = segment.get("median_px") or 0, segment.get("blur_px")
    before = [f"a median filter of {median} x {median} px"] if median > 1 else []
    before += [f"Gaussian smoothing of {blur:g} px"] if blur else []
    text += f", after {' and '.join(before)}" if before else ""
    apart = segment.get("separate_px")
    if apart is None or apart > 0:
        text += "; touching ones were parted by a watershed of the distance to the ground, their centres at least " + (
            "a typical radius apart" if apart is None else f"{apart:g} px apart"
        )
    return text + f". Masks of fewer than {segment.get('smallest_px')} px were left out."
