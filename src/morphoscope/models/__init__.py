"""Models: cards, inference, pre- and post-processing."""
