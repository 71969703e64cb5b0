"""Built-in synthetic connector terminals, so that everything runs with no data at hand."""
