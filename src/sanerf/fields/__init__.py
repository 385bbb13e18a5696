"""Position (and direction) in, values out. A field knows no rays."""
