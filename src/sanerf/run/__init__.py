"""A run: its folder on disk, its configuration, and the stages `train` and `segment` as functions."""
