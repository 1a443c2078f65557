"""morphoscope: microscope files to reviewed physical results.

`import morphoscope as ms; run = ms.analyze("video.mp4", recipe)`. The names below load on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "Axis": "calibration",
    "Calibration": "calibration",
    "Detector": "models.detect",
    "FilmPicture": "synth.films",
    "LoopVideo": "synth.loops",
    "ModelCard": "models.card",
    "MorphoscopeError": "errors",
    "ParticlePicture": "synth.particles",
    "ParticleVideo": "synth.particle_video",
    "Project": "project",
    "Recipe": "recipe",
    "ScoreMap": "models.score_map",
    "Scorer": "models.score",
    "WirePicture": "synth.wires",
    "analyze": "pipeline",
    "anomalous": "physics.anomalous",
    "bonds": "physics.neighbours",
    "classify": "pipeline",
    "clusters": "physics.clusters",
    "coherently_aligned": "measure.alignment",
    "compare_samples": "physics.places",
    "drift_from_objects": "track.drift_from_objects",
    "ensemble_drift": "physics.ensemble_drift",
    "ensemble_msd": "physics.msd",
    "evaluate_detector": "evaluate",
    "fit_lognormal": "physics.size_distribution",
    "fit_pooled": "physics.brownian",
    "fit_surface": "physics.response",
    "fit_tracks": "physics.brownian",
    "gradient_orientation": "measure.gradient_orientation",
    "kaplan_meier": "physics.survival",
    "link": "track.link",
    "load_detector": "models.detect",
    "load_orienter": "models.orient",
    "load_recipe": "recipe",
    "load_scorer": "models.score",
    "mann_kendall": "physics.trend",
    "measure_ellipses": "measure.geometry",
    "nearest_distances": "physics.structure",
    "neighbourhood": "physics.neighbours",
    "open_frames": "io.open",
    "order_parameter": "measure.alignment",
    "orient": "pipeline",
    "pair_correlation": "physics.pair_correlation",
    "parse_recipe": "recipe",
    "particles_by_frame": "physics.particle_sizes",
    "read_boxes": "io.labels",
    "read_colour": "io.colour",
    "read_features": "io.features",
    "sample_statistics": "physics.places",
    "score": "pipeline",
    "segment": "pipeline",
    "shapes": "measure.shape",
    "size_distribution": "physics.size_distribution",
    "structure": "physics.structure",
    "structure_factor": "physics.structure_factor",
    "structure_tensor": "measure.structure_tensor",
    "subtract_drift": "physics.ensemble_drift",
    "take_labels": "pipeline",
    "theil_sen": "physics.growth",
    "threshold_labels": "measure.threshold",
    "track_msd": "physics.msd",
    "track_table": "physics.tracks",
    "weighted_quantile": "physics.size_distribution",
}
__all__ = sorted(_HOME)

if TYPE_CHECKING:
    from morphoscope.calibration import Axis as Axis
    from morphoscope.calibration import Calibration as Calibration
    from morphoscope.errors import MorphoscopeError as MorphoscopeError
    from morphoscope.evaluate import evaluate_detector as evaluate_detector
    from morphoscope.io.colour import read_colour as read_colour
    from morphoscope.io.features import read_features as read_features
    from morphoscope.io.labels import read_boxes as read_boxes
    from morphoscope.io.open import open_frames as open_frames
    from morphoscope.measure.alignment import coherently_aligned as coherently_aligned
    from morphoscope.measure.alignment import order_parameter as order_parameter
    from morphoscope.measure.geometry import measure_ellipses as measure_ellipses
    from morphoscope.measure.gradient_orientation import gradient_orientation as gradient_orientation
    from morphoscope.measure.shape import shapes as shapes
    from morphoscope.measure.structure_tensor import structure_tensor as structure_tensor
    from morphoscope.measure.threshold import threshold_labels as threshold_labels
    from morphoscope.models.card import ModelCard as ModelCard
    from morphoscope.models.detect import Detector as Detector
    from morphoscope.models.detect import load_detector as load_detector
    from morphoscope.models.orient import load_orienter as load_orienter
    from morphoscope.models.score import Scorer as Scorer
    from morphoscope.models.score import load_scorer as load_scorer
    from morphoscope.models.score_map import ScoreMap as ScoreMap
    from morphoscope.physics.anomalous import anomalous as anomalous
    from morphoscope.physics.brownian import fit_pooled as fit_pooled
    from morphoscope.physics.brownian import fit_tracks as fit_tracks
    from morphoscope.physics.clusters import clusters as clusters
    from morphoscope.physics.ensemble_drift import ensemble_drift as ensemble_drift
    from morphoscope.physics.ensemble_drift import subtract_drift as subtract_drift
    from morphoscope.physics.growth import theil_sen as theil_sen
    from morphoscope.physics.msd import ensemble_msd as ensemble_msd
    from morphoscope.physics.msd import track_msd as track_msd
    from morphoscope.physics.neighbours import bonds as bonds
    from morphoscope.physics.neighbours import neighbourhood as neighbourhood
    from morphoscope.physics.pair_correlation import pair_correlation as pair_correlation
    from morphoscope.physics.particle_sizes import particles_by_frame as particles_by_frame
    from morphoscope.physics.places import compare_samples as compare_samples
    from morphoscope.physics.places import sample_statistics as sample_statistics
    from morphoscope.physics.response import fit_surface as fit_surface
    from morphoscope.physics.size_distribution import fit_lognormal as fit_lognormal
    from morphoscope.physics.size_distribution import size_distribution as size_distribution
    from morphoscope.physics.size_distribution import weighted_quantile as weighted_quantile
    from morphoscope.physics.structure import nearest_distances as nearest_distances
    from morphoscope.physics.structure import structure as structure
    from morphoscope.physics.structure_factor import structure_factor as structure_factor
    from morphoscope.physics.survival import kaplan_meier as kaplan_meier
    from morphoscope.physics.tracks import track_table as track_table
    from morphoscope.physics.trend import mann_kendall as mann_kendall
    from morphoscope.pipeline import analyze as analyze
    from morphoscope.pipeline import classify as classify
    from morphoscope.pipeline import orient as orient
    from morphoscope.pipeline import score as score
    from morphoscope.pipeline import segment as segment
    from morphoscope.pipeline import take_labels as take_labels
    from morphoscope.project import Project as Project
    from morphoscope.recipe import Recipe as Recipe
    from morphoscope.recipe import load_recipe as load_recipe
    from morphoscope.recipe import parse_recipe as parse_recipe
    from morphoscope.synth.films import FilmPicture as FilmPicture
    from morphoscope.synth.loops import LoopVideo as LoopVideo
    from morphoscope.synth.particle_video import ParticleVideo as ParticleVideo
    from morphoscope.synth.particles import ParticlePicture as ParticlePicture
    from morphoscope.synth.wires import WirePicture as WirePicture
    from morphoscope.track.drift_from_objects import drift_from_objects as drift_from_objects
    from morphoscope.track.link import link as link


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"morphoscope.{_HOME[name]}"), name)
    raise AttributeError(f"module 'morphoscope' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
