"""Cameras, rays, projection and the contraction of space: pure functions and frozen dataclasses."""
