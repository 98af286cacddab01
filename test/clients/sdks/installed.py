"""Exits with 0 if Python has every package of the list `argv[1]` in the version that is pinned."""

import importlib.metadata
import re
import sys
from pathlib import Path

TEXT = Path(sys.argv[1]).read_text()
pinned = re.findall(r"^([\w-]+)(?:\[.*\])?==(\S+)$", TEXT, re.MULTILINE)
try:
    wrong = [name for name, version in pinned if importlib.metadata.version(name) != version]
except importlib.metadata.PackageNotFoundError as error:
    wrong = [error.name]
sys.exit(0 if pinned and not wrong else 1)
