"""Networks that judge every pixel of an image."""
