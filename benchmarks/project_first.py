"""Import this before the project's packages: in this folder `layers` is a script, and in the project the package."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
