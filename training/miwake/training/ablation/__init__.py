"""Ablation: the same data and seeds under several settings, and by how much their answers differ."""
