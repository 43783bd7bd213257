"""Everything that is wrong with a data set, listed."""
