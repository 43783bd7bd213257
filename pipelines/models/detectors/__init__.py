"""Networks that judge every window of an image."""
