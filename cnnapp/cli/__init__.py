"""The command line: ``main.py`` runs it; a command a module, in folders by what they serve."""
