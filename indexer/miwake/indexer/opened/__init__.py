"""What an opened generation is made of: its contents, the changes beside it, its searches and its verdicts."""
