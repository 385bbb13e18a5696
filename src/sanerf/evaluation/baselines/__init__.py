"""The methods that the paper compares itself with, each from its own paper, on our field (docs/baselines.md)."""
