"""`mintmark keys list | rotate | revoke | reseal | reset-encryption`."""

from __future__ import annotations

import argparse
import asyncio
import time
from pathlib import Path
from typing import Any

from mintmark.admin.deployment import reseal
from mintmark.admin.keys import list_keys, reset_encryption_key, revoke_key, rotate_signing_key
from mintmark.cli.options import (
    add_command,
    add_json,
    add_noun,
    format_moment,
    print_json,
    print_table,
    read_settings,
    with_deployment,
)
from mintmark.store.records import KeyRecord
from mintmark.tokens.algorithms import ALGORITHMS
from mintmark.tokens.keys import describe_key_state


def add_parser(parsers: Any) -> None:
    """Add the noun and its commands."""
    commands = add_noun(parsers, "keys", "signing and encryption keys", example="mintmark keys list")
    listing = add_command(commands, "list", run_list, text="list keys", example="mintmark keys list --tenant default")
    listing.add_argument("--tenant", help="of this tenant alone")
    add_json(listing)
    text = "publish a new signing key, which signs after its announcement; older ones verify on"
    example = "mintmark keys rotate --tenant default --alg ES256 --announce 600"
    rotating = add_command(commands, "rotate", run_rotate, text=text, example=example)
    rotating.add_argument("--tenant", default="default")
    rotating.add_argument("--alg", required=True, choices=tuple(ALGORITHMS))
    rotating.add_argument(
        "--announce", type=int, metavar="SECONDS", help="how long it is published first (default: key_announce_s)"
    )
    add_json(rotating)
    text = "the compromise drill: every token of this key is inactive at once, and a new key signs"
    revoking = add_command(
        commands, "revoke", run_revoke, text=text, example="mintmark keys revoke --tenant default KID"
    )
    revoking.add_argument("--tenant", default="default")
    revoking.add_argument("kid")
    add_json(revoking)
    text = "change the master key; if it is interrupted, repeat it"
    example = "mintmark keys reseal --new-master-key-file /etc/mintmark/master.key.new"
    resealing = add_command(commands, "reseal", run_reseal, text=text, example=example)
    resealing.add_argument(
        "--new-master-key-file", type=Path, required=True, metavar="FILE", help="is made if it is not there"
    )
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
        rows = [(*(one[name] for name in names), format_moment(one["active_from"])) for one in shown]
        print_table(("KID", "TENANT", "USE", "ALG", "STATE", "SIGNS FROM"), rows)
    return 0


def describe_key(key: KeyRecord, siblings: list[KeyRecord], now: int) -> dict[str, Any]:
    """Return what may be shown of a key: all but its private half."""
    shown = {name: getattr(key, name) for name in KeyRecord.__struct_fields__ if name != "sealed"}
    return shown | {"state": describe_key_state(key, siblings, now)}


def run_rotate(arguments: argparse.Namespace) -> int:
    """Rotate a signing key."""
    announce_s = arguments.announce if arguments.announce is not None else read_settings(arguments).key_announce_s
    return _print_key(
        with_deployment(
            arguments,
            lambda one: rotate_signing_key(one, arguments.tenant, arguments.alg, announce_s=announce_s),
        ),
        as_json=arguments.json,
    )


def run_revoke(arguments: argparse.Namespace) -> int:
    """Revoke a signing key."""
    successor = with_deployment(arguments, lambda one: revoke_key(one, arguments.tenant, arguments.kid))
    if successor is not None:
        return _print_key(successor, as_json=arguments.json)
    if arguments.json:
        print_json(None)
    else:
        print(f"key {arguments.kid} is revoked; it did not sign, so the key that signs goes on")
    return 0


def _print_key(key: KeyRecord, *, as_json: bool) -> int:
    if as_json:
        print_json(describe_key(key, [key], int(time.time())))
    else:
        print(f"key {key.kid} ({key.alg}) of tenant {key.tenant_id} signs from {format_moment(key.active_from)}")
    return 0


def run_reseal(arguments: argparse.Namespace) -> int:
    """Change the master key."""
    asyncio.run(reseal(read_settings(arguments), arguments.new_master_key_file))
    print(f"The master key is now {arguments.new_master_key_file}. Put it where the server looks for it")
    print("(master_key_file), keep a copy elsewhere, and destroy the old one. Running servers go on undisturbed.")
    return 0


def run_reset(arguments: argparse.Namespace) -> int:
    """Reset the encryption key."""
    print_json(with_deployment(arguments, lambda one: reset_encryption_key(one, arguments.tenant)))
    return 0
