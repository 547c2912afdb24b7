"""Times a training step, its pieces, and the same step in PyTorch."""
