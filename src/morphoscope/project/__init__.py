"""The project store: one SQLite file that remembers images, objects, labels and decisions, and every change of them."""

from morphoscope.project.rows import DECISIONS, STATES
from morphoscope.project.store import Project

__all__ = ["DECISIONS", "STATES", "Project"]
