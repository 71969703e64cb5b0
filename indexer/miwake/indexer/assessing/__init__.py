"""What embeddings are worth on known rows: telling two apart, finding one's class, noticing a class that is new."""
