"""Rays and fields in, `RenderOutput` out: sampling, compositing, renderer. Knows no losses."""
