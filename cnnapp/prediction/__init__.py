"""Run a model, here or over the network."""
