"""Formats of images with a class for every pixel."""
