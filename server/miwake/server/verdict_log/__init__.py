"""The verdict log: every answer and what gave it, on disk, off the hot path; docs/verdict-log.md has the files."""
