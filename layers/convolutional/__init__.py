"""Convolutions that Keras lacks: dilated in every combination, unshared, tiled, deformable, Fourier, fixed filters."""
