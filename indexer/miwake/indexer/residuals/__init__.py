"""How a map differs from its reference map: a template of that very place, or the mean map of the passes."""
