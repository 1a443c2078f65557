"""The stages composed: from files to a run folder."""

from morphoscope.pipeline.folder import Run, open_run
from morphoscope.pipeline.run import analyze
from morphoscope.pipeline.stages import analyse_frame

__all__ = ["Run", "analyse_frame", "analyze", "open_run"]
