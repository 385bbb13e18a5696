"""Radiance fields that other programs trained, read from their files; inference only."""
