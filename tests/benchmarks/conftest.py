"""Makes the benchmarks' modules importable, as they are for each other when one of them is run."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
