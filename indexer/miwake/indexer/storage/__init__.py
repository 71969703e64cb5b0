"""What lies on disk: references in SQLite, immutable generations, embedders, and durable files."""
