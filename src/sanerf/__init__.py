"""sanerf: click an object in one photograph and get it out of a radiance field in 3D.

After "SANeRF-HQ: Segment Anything for NeRF in High Quality" (Liu, Hu, Tang, Tai). The rooms of the package and the
arrows between them are in docs/architecture.md, its axes and units in docs/conventions.md. Importing the package
imports none of its rooms, so that it is quick.
"""

__version__ = "0.1.0"
