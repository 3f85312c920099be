"""`mintmark tenant create | list | suspend | resume | invalidate-tokens`."""

from __future__ import annotations

import argparse
from functools import partial
from typing import Any

import msgspec

from mintmark.admin.tenants import TenantRequest, create_tenant, invalidate_tokens, list_tenants, suspend_tenant
from mintmark.cli.options import (
    add_command,
    add_json,
    add_noun,
    add_token_rules,
    parse_token_rules,
    print_json,
    print_table,
    read_settings,
    with_deployment,
)
from mintmark.store.records import TenantRecord


def add_parser(parsers: Any) -> None:
    """Add the noun and its commands."""
    text = "tenants: one issuer each, with its clients, keys and dialect"
    commands = add_noun(parsers, "tenant", text, example="mintmark tenant list")
    example = "mintmark tenant create acme --dialect oauth2 --issuer https://acme.example.com --host acme.example.com"
    create = add_command(commands, "create", run_create, text="create a tenant with its first key", example=example)
    create.add_argument("tenant", help="its id: a-z, 0-9 and -")
    create.add_argument("--dialect", default="oauth2", help="its dialect (default: oauth2)")
    create.add_argument(
        "--issuer", metavar="URL", help="its issuer identifier (default: public_url, and /t/TENANT unless --default)"
    )
    create.add_argument("--host", action="append", default=[], help="a Host header that names it (repeatable)")
    create.add_argument("--identifier", help="the name that messages carry in its dialect, such as omadacId")
    create.add_argument("--default", action="store_true", help="it answers where nothing else names a tenant")
    add_token_rules(create)
    add_json(create)
    listing = add_command(commands, "list", run_list, text="list the tenants", example="mintmark tenant list --json")
    add_json(listing)
    for name, suspended in (("suspend", True), ("resume", False)):
        text = f"{name} a tenant" + (": it answers no more" if suspended else "")
        command = add_command(
            commands,
            name,
            partial(run_suspend, suspended=suspended),
            text=text,
            example=f"mintmark tenant {name} acme",
        )
        command.add_argument("tenant")
    text = "end every token of a tenant at once: for a restored or imported system, or one whose tokens leaked"
    ending = add_command(
        commands, "invalidate-tokens", run_invalidate, text=text, example="mintmark tenant invalidate-tokens acme"
    )
    ending.add_argument("tenant")


def run_create(arguments: argparse.Namespace) -> int:
    """Create a tenant."""
    request = TenantRequest(
        tenant_id=arguments.tenant,
        dialect=arguments.dialect,
        issuer=arguments.issuer or _default_issuer(arguments),
        hosts=tuple(arguments.host),
        identifier=arguments.identifier,
        is_default=arguments.default,
        token_rules=parse_token_rules(arguments.token_rules),
    )
    tenant = with_deployment(arguments, lambda administration: create_tenant(administration, request))
    if arguments.json:
        print_json(msgspec.to_builtins(tenant))
    else:
        identifier = f", identifier {tenant.identifier}" if tenant.identifier else ""
        print(f"tenant {tenant.tenant_id} ({tenant.dialect}), issuer {tenant.issuer}{identifier}")
    return 0


def _default_issuer(arguments: argparse.Namespace) -> str:
    settings = read_settings(arguments)
    base = (settings.public_url or settings.listen[0]).rstrip("/")
    return base if arguments.default else f"{base}/t/{arguments.tenant}"


def run_list(arguments: argparse.Namespace) -> int:
    """List the tenants."""
    tenants = with_deployment(arguments, list_tenants)
    if arguments.json:
        print_json(msgspec.to_builtins(tenants))
    else:
        print_table(("TENANT", "DIALECT", "ISSUER", "HOSTS", "STATE"), [_row(tenant) for tenant in tenants])
    return 0


def _row(tenant: TenantRecord) -> tuple[str, ...]:
    state = "suspended" if tenant.is_suspended else "default" if tenant.is_default else ""
    return tenant.tenant_id, tenant.dialect, tenant.issuer, " ".join(tenant.hosts), state


def run_suspend(arguments: argparse.Namespace, *, suspended: bool) -> int:
    """Suspend or resume a tenant."""
    with_deployment(arguments, lambda one: suspend_tenant(one, arguments.tenant, suspended=suspended))
    print(f"tenant {arguments.tenant} {'suspended' if suspended else 'resumed'}")
    return 0


def run_invalidate(arguments: argparse.Namespace) -> int:
    """End every token of a tenant."""
    with_deployment(arguments, lambda one: invalidate_tokens(one, arguments.tenant))
    print(f"every token of tenant {arguments.tenant} has ended")
    return 0
