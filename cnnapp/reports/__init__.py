"""Reports: of evaluations, cards, networks, and two models side by side."""
