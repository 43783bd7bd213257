"""Formats of labelled images with classes or boxes, and what reads them."""
