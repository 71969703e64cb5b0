"""The health of an input: six statistics of a heat map, and how far they lie from what is ordinary."""
