"""Comparing two generations of a station on the same vectors, before one takes the other's place."""
