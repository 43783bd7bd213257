"""A window classifier as a network over whole images, and the check that both give the same answers."""
