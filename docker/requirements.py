"""What an image installs: `requirements.py EXTRA... [--without NAME...]` prints the requirements of
pyproject.toml.

So that they make a layer of their own, which a change of our code leaves as it is.
"""

import re
import sys
import tomllib
from itertools import takewhile
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]


def of_extras(names: list[str]) -> list[str]:
    """The requirements of extras, and of those that they name."""
    found = []
    for each in (each for name in names for each in project["optional-dependencies"][name]):
        ours = re.fullmatch(r"earmark\[(.+)\]", each)
        found += of_extras(ours[1].split(",")) if ours else [each]
    return found


def name_of(requirement: str) -> str:
    """The package that it is of."""
    return re.split(r"[^\w.-]", requirement, maxsplit=1)[0]


extras = [*takewhile(lambda argument: argument != "--without", sys.argv[1:])]
without = sys.argv[len(extras) + 2 :]
wanted = project["dependencies"] + of_extras(extras)
if unknown := set(without) - set(map(name_of, wanted)):
    sys.exit(f"--without: expected requirements, got {', '.join(sorted(unknown))}")
sys.stdout.write("\n".join(each for each in wanted if name_of(each) not in without) + "\n")
