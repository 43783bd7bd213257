"""Normalisation: fused batch, local response, and local contrast."""
