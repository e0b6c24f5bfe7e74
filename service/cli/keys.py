"""`earmark keys`: the API keys of the service."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from earmark.service.auth.api_keys import KeyFile


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `keys` to the parser."""
    keys = commands.add_parser("keys", help="create, list and revoke the service's API keys")
    actions = keys.add_subparsers(dest="action", required=True, metavar="ACTION")
    add = actions.add_parser("add", help="create a key and print it, once")
    add.add_argument("--name", required=True, metavar="N", help="name of the key, as logs show it")
    add.add_argument("--scope", required=True, metavar="read|write", help="what the key allows")
    add.set_defaults(run=_add)
    list_ = actions.add_parser("list", help="list names, scopes and creation times")
    list_.add_argument("--json", action="store_true", help="print one JSON object")
    list_.set_defaults(run=_list)
    revoke = actions.add_parser("revoke", help="remove a key; it is refused at once")
    revoke.add_argument("name", metavar="NAME")
    revoke.set_defaults(run=_revoke)
    for action in (add, list_, revoke):
        action.add_argument(
            "--keys", type=Path, metavar="FILE", help="file of keys (default: EARMARK_KEYS)"
        )


def _file(options: argparse.Namespace) -> KeyFile:
    from earmark.model.core.errors import ConfigError
    from earmark.service.auth.api_keys import KeyFile
    from earmark.service.settings import read_settings

    path = options.keys or read_settings().keys
    if path is None:
        raise ConfigError("keys: expected --keys FILE or EARMARK_KEYS, got neither")
    return KeyFile(path)


def _add(options: argparse.Namespace) -> int:
    print(_file(options).add(options.name, options.scope))
    return 0


def _list(options: argparse.Namespace) -> int:
    keys = _file(options).read()
    if options.json:
        records = [key.model_dump(mode="json", exclude={"hash"}) for key in keys]
        print(json.dumps({"keys": records}))
    else:
        for key in keys:
            print(f"{key.name}\t{key.scope}\t{key.created_at.isoformat()}")
    return 0


def _revoke(options: argparse.Namespace) -> int:
    _file(options).revoke(options.name)
    return 0
