"""What many people who use one process at once share: its memory, and its turns."""
