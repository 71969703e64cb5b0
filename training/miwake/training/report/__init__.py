"""A report on an embedder that people look at: figures, curves and pictures on one page that opens offline."""
