"""The stages composed: from files to a run folder."""

from morphoscope.pipeline.folder import Run, open_run
from morphoscope.pipeline.load import analyse_frame
from morphoscope.pipeline.run import analyze
from morphoscope.pipeline.scoring import score
from morphoscope.pipeline.segmenting import segment

__all__ = ["Run", "analyse_frame", "analyze", "open_run", "score", "segment"]
