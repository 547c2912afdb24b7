"""Where the time of a training step goes, and what the step costs in PyTorch."""
