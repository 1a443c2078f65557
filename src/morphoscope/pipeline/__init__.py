"""The stages composed: from files to a run folder."""

from morphoscope.pipeline.classifying import classify
from morphoscope.pipeline.corrections import take_labels
from morphoscope.pipeline.folder import Run, open_run
from morphoscope.pipeline.load import analyse_frame
from morphoscope.pipeline.orienting import orient
from morphoscope.pipeline.run import analyze
from morphoscope.pipeline.scoring import score
from morphoscope.pipeline.segmenting import segment

__all__ = ["Run", "analyse_frame", "analyze", "classify", "open_run", "orient", "score", "segment", "take_labels"]
