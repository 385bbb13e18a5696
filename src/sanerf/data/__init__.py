"""Files to `Scene`: one module a format."""
