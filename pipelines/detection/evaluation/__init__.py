"""How good a detector is: matching, average precision, errors, pictures."""
