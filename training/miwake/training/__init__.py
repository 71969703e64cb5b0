"""Training of embedders: the only package that imports torch."""
