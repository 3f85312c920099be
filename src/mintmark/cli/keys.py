"""`mintmark keys list | add | reset-encryption`."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from typing import Any

from mintmark.admin.keys import add_signing_key, list_keys, reset_encryption_key
from mintmark.cli.options import add_command, add_json, add_noun, print_json, print_table, with_deployment
from mintmark.store.records import KeyRecord
from mintmark.tokens.keys import ALGORITHMS


def add_parser(parsers: Any) -> None:
    """Add the noun and its commands."""
    commands = add_noun(parsers, "keys", "signing and encryption keys")
    listing = add_command(commands, "list", run_list, text="list keys", example="mintmark keys list --tenant default")
    listing.add_argument("--tenant", help="of this tenant alone")
    add_json(listing)
    example = "mintmark keys add --tenant default --alg ES256"
    adding = add_command(
        commands,
        "add",
        run_add,
        text="add a signing key that signs from now on; older ones verify on",
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
    if arguments.json:
        print_json([describe_key(key) for key in keys])
        return 0
    print_table(
        ("KID", "TENANT", "USE", "ALG", "STATE", "CREATED"),
        [
            (
                one.kid,
                one.tenant_id,
                one.use,
                one.alg,
                one.state,
                datetime.fromtimestamp(one.created_at, UTC).isoformat(),
            )
            for one in keys
        ],
    )
    return 0


def describe_key(key: KeyRecord) -> dict[str, Any]:
    """Return what may be shown of a key: all but its private half."""
    return {name: getattr(key, name) for name in KeyRecord.__struct_fields__ if name != "sealed"}


def run_add(arguments: argparse.Namespace) -> int:
    """Add a signing key."""
    key = with_deployment(arguments, lambda one: add_signing_key(one, arguments.tenant, arguments.alg))
    if arguments.json:
        print_json(describe_key(key))
    else:
        print(f"key {key.kid} ({key.alg}) signs for tenant {key.tenant_id} from now on")
    return 0


def run_reset(arguments: argparse.Namespace) -> int:
    """Reset the encryption key."""
    print_json(with_deployment(arguments, lambda one: reset_encryption_key(one, arguments.tenant)))
    return 0
