"""The exchange file: the references of a station as Parquet, out and back in, with their history."""
