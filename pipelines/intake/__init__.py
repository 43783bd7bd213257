"""What comes in from outside: how much of it is taken, and how files, archives and texts are read within that."""
