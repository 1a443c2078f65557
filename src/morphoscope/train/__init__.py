"""Training: the only part that needs PyTorch (`pip install 'morphoscope[train]'`)."""
