"""Sets of tensorflow-datasets."""
