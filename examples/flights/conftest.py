"""Lets the tests find the SDK of this repository, as a step finds the one in the binary."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "python" / "src"))
