"""Labelled inspection vectors from files, folders, the Hugging Face hub and the built-in generator."""

from miwake.indexer.sources.reader import read_records
from miwake.indexer.sources.settings import ReadSettings

__all__ = ["ReadSettings", "read_records"]
