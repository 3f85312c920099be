"""`mintmark keys list | add | reset-encryption`."""

from __future__ import annotations

import argparse
import time
from datetime import UTC, datetime
from typing import Any

from mintmark.admin.keys import add_signing_key, list_keys, reset_encryption_key
from mintmark.cli.options import add_command, add_json, add_noun, print_json, print_table, with_deployment
from mintmark.store.records import KeyRecord
from mintmark.tokens.keys import ALGORITHMS, describe_key_state


def add_parser(parsers: Any) -> None:
    """Add the noun and its commands."""
    commands = add_noun(parsers, "keys", "signing and encryption keys", example="mintmark keys list")
    listing = add_command(commands, "list", run_list, text="list keys", example="mintmark keys list --tenant default")
    listing.add_argument("--tenant", help="of this tenant alone")
    add_json(listing)
    example = "mintmark keys add --tenant default --alg ES256"
    adding = add_command(
        commands,
        "add",
        run_add,
        text="add a signing key: announced first, it signs after 10 minutes; older ones verify on",
        example=example,
    )
    adding.add_argument("--tenant", default="default")
    adding.add_argument("--alg", required=True, choices=tuple(ALGORITHMS))
    add_json(adding)
    text = "make a new encryption key and print it as a JWK, this once"
    example = "mintmark keys reset-encryption --tenant oneaccess"
    reset = add_command(commands, "reset-encryption", run_reset, text=text, example=example)
    reset.add_argument("--tenant", required=True)


def run_list(arguments: argparse.Namespace) -> int:
    """List keys."""
    keys = with_deployment(arguments, lambda administration: list_keys(administration, arguments.tenant))
    now = int(time.time())
    shown = [describe_key(key, [other for other in keys if other.tenant_id == key.tenant_id], now) for key in keys]
    if arguments.json:
        print_json(shown)
    else:
        names = ("kid", "tenant_id", "use", "alg", "state")
        rows = [(*(one[name] for name in names), _date(one["active_from"])) for one in shown]
        print_table(("KID", "TENANT", "USE", "ALG", "STATE", "SIGNS FROM"), rows)
    return 0


def describe_key(key: KeyRecord, siblings: list[KeyRecord], now: int) -> dict[str, Any]:
    """Return what may be shown of a key: all but its private half."""
    shown = {name: getattr(key, name) for name in KeyRecord.__struct_fields__ if name != "sealed"}
    return shown | {"state": describe_key_state(key, siblings, now)}


def _date(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def run_add(arguments: argparse.Namespace) -> int:
    """Add a signing key."""
    key = with_deployment(arguments, lambda one: add_signing_key(one, arguments.tenant, arguments.alg))
    if arguments.json:
        print_json(describe_key(key, [key], int(time.time())))
    else:
        print(f"key {key.kid} ({key.alg}) of tenant {key.tenant_id} signs from {_date(key.active_from)}")
    return 0


def run_reset(arguments: argparse.Namespace) -> int:
    """Reset the encryption key."""
    print_json(with_deployment(arguments, lambda one: reset_encryption_key(one, arguments.tenant)))
    return 0
