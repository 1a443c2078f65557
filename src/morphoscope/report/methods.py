"""The methods paragraph and the citations of a run, said from what the run really used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from morphoscope.report.methods_masks import mask_citations, mask_sentences, outlined
from morphoscope.report.methods_motion import motion_citations, motion_sentences
from morphoscope.report.methods_particles import SIZED, particle_citations, particle_sentences

PAPER = (
    "M. Shen, G. Li, D. Wu, Y. Yaguchi, J. C. Haley, K. G. Field, D. Morgan, A deep learning based automatic defect analysis "
    "framework for in-situ TEM ion irradiations, Computational Materials Science 197 (2021) 110560, "
    "doi:10.1016/j.commatsci.2021.110560"
)


def methods_paragraph(run: Mapping[str, Any], card: Mapping[str, Any] | None) -> str:
    """Plain text to paste into a paper.

    Args:
        run: content of run.json (the keys are told in `html.write_report`).
        card: the model's card as plain values.
    """
    recipe = run.get("recipe") or {}
    parts = [
        _data(run, recipe.get("frames") or {}),
        *_objects(run, recipe.get("detect") or {}, card or {}),
        particle_sentences(run),
        motion_sentences(run, (card or {}).get("training") or {}),
        _physics(run, recipe.get("physics") or {}, (card or {}).get("training") or {}),
    ]
    return " ".join(part for part in parts if part)


def citations(run: Mapping[str, Any], card: Mapping[str, Any] | None) -> list[str]:
    """What to cite: the package, the method's paper, the estimators used, the analysed data, the model's training data."""
    version = (run.get("versions") or {}).get("morphoscope", "")
    cited = [f"morphoscope {version}".strip() + ", analysis of in-situ microscopy (BSD-3-Clause)", PAPER]
    cited += mask_citations(card or {}) + particle_citations(run) + motion_citations(run)
    data = ((run.get("recipe") or {}).get("report") or {}).get("citation")
    if data:
        cited.append(f"Data: {data}")
    for source in (card or {}).get("data") or ():
        said = source.get("citation") or source.get("name") if isinstance(source, Mapping) else str(source)
        text = f"Training data of the model: {said}"
        if said and not (len(said) > 10 and said in PAPER) and text not in cited:
            cited.append(text)
    return cited


def _number(value: Any, digits: int = 4) -> str:
    return f"{float(value):.{digits}g}"


def _data(run: Mapping[str, Any], frames: Mapping[str, Any]) -> str:
    count = (run.get("counts") or {}).get("frames") or sum(int(i.get("frames") or 0) for i in run.get("inputs") or ())
    text = f"{count} frames were analysed" if count != 1 else "One frame was analysed"
    calibration = run.get("calibration") or {}
    source = calibration.get("provenance") or {}
    said = []
    size = calibration.get("pixel_size_nm")
    if size:
        y, x = (size, size) if isinstance(size, (int, float)) else size
        value = f"{_number(x)} nm" if x == y else f"{_number(x)} nm (x) and {_number(y)} nm (y)"
        said.append(f"a pixel size of {value}{_from(source, 'pixel_size_nm')}")
    if calibration.get("frame_interval_s"):
        said.append(f"{_number(calibration['frame_interval_s'])} s between frames{_from(source, 'frame_interval_s')}")
    text += f" ({'; '.join(said)})." if said else "."
    if not size:
        text += " No scale was known; all lengths are in pixels."
    axes = [
        f"{a['name']} ({a['unit']}) = {_number(a['start'], 5)} + {_number(a['step'], 5)} x frame number"
        for a in calibration.get("axes") or ()
    ]
    if axes:
        text += f" The experiment's axis is {'; '.join(axes)}."
    region = frames.get("region")
    if region:
        text += f" Only x = {region['x0']} to {region['x1']} px, y = {region['y0']} to {region['y1']} px was analysed."
    excluded = len(frames.get("exclude") or ())
    if excluded:
        text += f" {excluded} rectangle{'s were' if excluded > 1 else ' was'} excluded from detection and from the area."
    return text


def _from(provenance: Mapping[str, Any], key: str) -> str:
    return f", from the {provenance[key]}" if provenance.get(key) else ""


def _objects(run: Mapping[str, Any], detect: Mapping[str, Any], card: Mapping[str, Any]) -> list[str]:
    """Where the objects came from: a table, labels, or a model."""
    source = card.get("training") or {}
    if source.get("table"):
        return [
            f"Positions were taken from the table {source['table']} ({source.get('columns')} columns; "
            f"SHA-256 {str(source.get('sha256'))[:12]}...)."
        ]
    if detect.get("objects") and source:
        return [_given(source)]
    if outlined(card):
        return [mask_sentences(run, card)]
    return [_detection(run, detect, card), _geometry()]


def _detection(run: Mapping[str, Any], detect: Mapping[str, Any], card: Mapping[str, Any]) -> str:
    model = run.get("model") or {}
    name = card.get("name") or model.get("name") or detect.get("model") or "unnamed"
    classes = ", ".join(str(c).replace("_", " ") for c in card.get("classes") or ()) or "object"
    version = (run.get("versions") or {}).get("morphoscope", "")
    sha = str(model.get("sha256") or "")[:12]
    identity = ", ".join(filter(None, [f"morphoscope {version}".strip(), f"SHA-256 {sha}..." if sha else ""]))
    text = f'Objects (class: {classes}) were detected with the one-stage convolutional detector "{name}" ({identity}'
    trained = card.get("pixel_size_nm")
    text += f"; trained at {_number(trained)} nm per pixel)" if trained else ")"
    zoom = model.get("resampled_by")
    if zoom and abs(float(zoom) - 1) > 1e-6:
        text += f", for which frames were resampled by a factor of {_number(zoom)}"
    threshold = detect.get("threshold") or card.get("threshold")
    if threshold:
        origin = "chosen for this run" if detect.get("threshold") else "chosen on the model's validation data"
        text += f". Detections scoring at least {_number(threshold, 3)} ({origin}) were kept"
    if detect.get("nms_iou"):
        text += f", and of boxes overlapping by more than {_number(detect['nms_iou'], 3)} (intersection over union) only the best"
    provider = run.get("provider")
    precision = f", {run['precision']}" if run.get("precision") else ""
    runtime = "OpenVINO (CPU" if provider == "openvino" else f"ONNX Runtime ({str(provider).upper()}"
    return text + (f". Inference: {runtime}{precision})." if provider else ".")


def _given(labels: Mapping[str, Any]) -> str:
    """How objects that were given, not detected, were measured."""
    shapes = labels.get("shapes") or {}
    kinds = ", ".join(f"{count} as {kind}" for kind, count in shapes.items())
    text = f"Objects were not detected but given ({kinds}; SHA-256 {str(labels.get('sha256'))[:12]}...)."
    if any(kind not in ("box", "point") for kind in shapes):
        text += " The ellipse of a given outline or mask has its second moments; the major axis is the size."
    return text + (f" {_geometry().replace('detection', 'upright box')}" if "box" in shapes else "")


def _geometry() -> str:
    return (
        "Inside each detection the object was separated by Otsu's threshold, a 3 x 3 opening, a distance transform and a "
        "marker-controlled watershed, and an ellipse was fitted; its major axis is the size."
    )


def _physics(run: Mapping[str, Any], physics: Mapping[str, Any], source: Mapping[str, Any]) -> str:
    sized = bool((run.get("counts") or {}).get(SIZED))
    sizes = "Sizes are given as median and quartiles." if source.get("sizes", True) else ""
    if sized and not physics.get("thickness_nm"):
        return ""
    if not (run.get("calibration") or {}).get("pixel_size_nm") or not source.get("field", True):
        return sizes
    factor, thickness = float(physics.get("visibility_factor") or 1.0), physics.get("thickness_nm")
    per = f"volume, at a foil thickness of {_number(thickness)} nm" if thickness else "area"
    text = f"Density is the number of objects per analysed {per}"
    if factor != 1.0:
        text += f", times {_number(factor)} for objects invisible under this diffraction condition"
    return f"{text}; intervals are exact 95 % Poisson intervals of the count. {sizes}".strip()
