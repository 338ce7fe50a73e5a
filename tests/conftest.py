"""Makes the zoo in models/ importable; at the end of the path, behind the installed package."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
