"""Pixels: reading, orienting, resizing; boxes and masks."""
