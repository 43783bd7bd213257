"""``python -m cnnapp.cli``."""

from cnnapp.cli.main import main

main()
