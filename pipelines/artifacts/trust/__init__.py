"""What a model would reach outside of itself, found before it is loaded; and signatures of models."""
