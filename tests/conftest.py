"""Makes this folder's modules importable from every test: `analytic_scene` serves several rooms."""
