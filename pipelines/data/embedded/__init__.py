"""Data that come along: handwritten digits, and scenes made of them."""
