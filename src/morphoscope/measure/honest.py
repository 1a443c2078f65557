"""Honest answers of a classifier: calibrated probabilities, sets that hold the true class, answers to accept unseen.

All of it rests on `HeldOut`: answers to labelled images that the network judging them had not learnt. Groups of images (near
copies, views of one sample) count as one draw throughout.
"""

from morphoscope.measure.honest_acceptance import Acceptance, accept_threshold, lower_bound
from morphoscope.measure.honest_calibration import (
    best_temperature,
    calibrated_error,
    calibration_interval,
    expected_calibration_error,
    reliability,
)
from morphoscope.measure.honest_held import HeldOut, group_weights
from morphoscope.measure.honest_sets import prediction_sets, set_limit, sets_from

ACCURACY, COVERAGE = 0.99, 0.9  # usual targets: of what is accepted, and of sets
BETWEEN = 0.1  # probability from which on a second class is named beside the first

__all__ = [
    "ACCURACY",
    "BETWEEN",
    "COVERAGE",
    "Acceptance",
    "HeldOut",
    "accept_threshold",
    "best_temperature",
    "calibrated_error",
    "calibration_interval",
    "expected_calibration_error",
    "group_weights",
    "lower_bound",
    "prediction_sets",
    "reliability",
    "set_limit",
    "sets_from",
]
