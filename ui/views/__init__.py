"""A page a module: it draws, and computes nothing."""
