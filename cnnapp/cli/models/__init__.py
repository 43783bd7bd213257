"""Commands that look after saved models."""
