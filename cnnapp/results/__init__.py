"""What a model answers, as frozen records, and as files."""
