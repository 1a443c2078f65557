"""What a run is shown as: figures, overlay frames and the report page."""
