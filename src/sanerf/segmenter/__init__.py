"""Promptable 2D segmenters: the built-in `mini` and the SAM family, behind one protocol."""
