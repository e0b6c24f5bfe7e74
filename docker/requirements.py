"""What an image installs: `requirements.py EXTRA...` prints the requirements of pyproject.toml.

So that they make a layer of their own, which a change of our code leaves as it is.
"""

import sys
import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
extras = project["optional-dependencies"]
wanted = project["dependencies"] + [each for name in sys.argv[1:] for each in extras[name]]
sys.stdout.write("\n".join(wanted) + "\n")
