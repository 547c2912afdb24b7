"""Compiles losses and train steps for accelerators that are not there."""
