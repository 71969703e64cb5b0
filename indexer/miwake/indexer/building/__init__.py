"""The steps of a build: streaming and embedding references, choosing anchors, filling a generation."""
