"""The mask aggregator of section 3.3: decoded masks of many views fused into one object field."""
