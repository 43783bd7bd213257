"""Look inside a model: evidence, feature maps, receptive fields, decisions."""
