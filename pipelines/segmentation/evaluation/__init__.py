"""How good a class map is: overlap, boundaries, pictures."""
