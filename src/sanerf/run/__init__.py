"""A run: its folder on disk, its configuration, and the training of its radiance field."""
