"""`mintmark registration allow | forbid | create-token | list | remove`: clients that register themselves."""

from __future__ import annotations

import argparse
from functools import partial
from typing import Any

from mintmark.admin.registration import create_initial_token, list_initial_tokens, remove_initial_token
from mintmark.admin.tenants import TenantChanges, change_tenant
from mintmark.cli.options import (
    add_command,
    add_json,
    add_noun,
    format_moment,
    print_json,
    print_table,
    select,
    with_deployment,
)
from mintmark.store.records import InitialAccessToken

SHOWN = ("token_id", "label", "scope", "uses_left", "created_at", "expires_at")


def add_parser(parsers: Any) -> None:
    """Add the noun and its commands."""
    text = "clients that register themselves (RFC 7591)"
    commands = add_noun(parsers, "registration", text, example="mintmark registration allow --tenant acme")
    for name, allowed in (("allow", True), ("forbid", False)):
        text = f"{name} clients of a tenant to register themselves"
        example = f"mintmark registration {name} --tenant acme"
        add_command(
            commands, name, partial(run_allow, allowed=allowed), text=text, example=example
        ).add_argument("--tenant", default="default")  # fmt: skip
    text = "make an initial access token, shown once"
    example = 'mintmark registration create-token --tenant acme --uses 10 --scope "read write"'
    creating = add_command(commands, "create-token", run_create, text=text, example=example)
    creating.add_argument("--tenant", default="default")
    creating.add_argument("--uses", type=int, default=1, help="clients that may register with it (default: 1)")
    creating.add_argument("--lifetime", type=int, default=86_400, metavar="SECONDS", help="(default: a day)")
    creating.add_argument("--scope", default="", help="scope-tokens that they may register for at most")
    creating.add_argument("--label", default="", help="a note on what it is for")
    add_json(creating)
    listing = add_command(
        commands, "list", run_list, text="list initial access tokens", example="mintmark registration list --json"
    )
    listing.add_argument("--tenant", default="default")
    add_json(listing)
    text = "remove an initial access token; the clients that came with it stay"
    removing = add_command(
        commands, "remove", run_remove, text=text, example="mintmark registration remove 9f86d081884c7d65"
    )
    removing.add_argument("--tenant", default="default")
    removing.add_argument("token_id")


def run_allow(arguments: argparse.Namespace, *, allowed: bool) -> int:
    """Allow or forbid it."""
    changes = TenantChanges(allows_registration=allowed)
    with_deployment(arguments, lambda one: change_tenant(one, arguments.tenant, changes))
    print(f"clients of tenant {arguments.tenant} {'may' if allowed else 'may not'} register themselves")
    return 0


def run_create(arguments: argparse.Namespace) -> int:
    """Make an initial access token."""
    scope = tuple(arguments.scope.split())
    limits = {"uses": arguments.uses, "lifetime_s": arguments.lifetime, "label": arguments.label}
    token, secret = with_deployment(
        arguments, lambda one: create_initial_token(one, arguments.tenant, scope=scope, **limits)
    )
    if arguments.json:
        print_json({**_show(token), "initial_access_token": secret.reveal()})
        return 0
    print(f"initial_access_token: {secret.reveal()}")
    print(f"It registers {token.uses_left} clients until {format_moment(token.expires_at)}; it is shown this once.")
    return 0


def run_list(arguments: argparse.Namespace) -> int:
    """List a tenant's initial access tokens."""
    tokens = with_deployment(arguments, lambda one: list_initial_tokens(one, arguments.tenant))
    if arguments.json:
        print_json([_show(token) for token in tokens])
        return 0
    rows = [
        (one.token_id, str(one.uses_left), format_moment(one.expires_at), " ".join(one.scope), one.label)
        for one in tokens
    ]
    print_table(("TOKEN_ID", "USES LEFT", "EXPIRES", "SCOPE", "LABEL"), rows)
    return 0


def run_remove(arguments: argparse.Namespace) -> int:
    """Remove an initial access token."""
    with_deployment(arguments, lambda one: remove_initial_token(one, arguments.tenant, arguments.token_id))
    print(f"initial access token {arguments.token_id} removed")
    return 0


def _show(token: InitialAccessToken) -> dict[str, Any]:
    return select({name: getattr(token, name) for name in SHOWN}, SHOWN)
