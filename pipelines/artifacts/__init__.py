"""The directory that is exported, and what is written in it."""
