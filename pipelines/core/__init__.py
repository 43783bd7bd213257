"""Ground: errors, progress, devices, and how TensorFlow is imported. No images, no models."""
