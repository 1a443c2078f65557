"""Quantities with units and uncertainty."""
