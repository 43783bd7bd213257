"""Pooling: by norms, learned exponents and weights, across channels, to a given size, and in pyramids."""
