"""Commands that train, and that look after data and trainings."""
