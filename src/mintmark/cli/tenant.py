"""`mintmark tenant create | list | show | change | suspend | resume | remove`, and the end of its tokens."""

from __future__ import annotations

import argparse
from functools import partial
from typing import Any

import msgspec

from mintmark.admin.administration import AdministrationError
from mintmark.admin.tenants import (
    TenantChanges,
    TenantRequest,
    change_tenant,
    create_tenant,
    invalidate_tokens,
    list_tenants,
    remove_tenant,
    show_tenant,
    suspend_tenant,
)
from mintmark.admin.tokens import revoke_named_token
from mintmark.cli.options import (
    add_command,
    add_json,
    add_noun,
    add_token_rules,
    parse_token_rules,
    print_json,
    print_lines,
    print_table,
    read_settings,
    with_deployment,
)
from mintmark.store.records import TenantRecord


def add_parser(parsers: Any) -> None:
    """Add the noun and its commands."""
    text = "tenants: one issuer each, with its clients, keys and dialect"
    commands = add_noun(parsers, "tenant", text, example="mintmark tenant list")
    _add_create(commands)
    add_json(add_command(commands, "list", run_list, text="list the tenants", example="mintmark tenant list --json"))
    _add_on_tenant(commands, "suspend", partial(run_suspend, suspended=True), "suspend a tenant: it answers no more")
    _add_on_tenant(commands, "resume", partial(run_suspend, suspended=False), "resume a tenant")
    add_json(_add_on_tenant(commands, "show", run_show, "show a tenant"))
    _add_change(commands)
    text = "remove a tenant with its clients, secrets and keys; all that it issued is dead"
    removing = _add_on_tenant(commands, "remove", run_remove, text, more=" --yes")
    removing.add_argument("--yes", action="store_true", help="needed: nothing brings it back")
    text = "end a token that nobody can show: by its jti, or the first 16 hex digits of its digest"
    name = " e8178cab-ffae-4d4e-95d0-35c801a20b2c"
    revoking = _add_on_tenant(commands, "revoke-token", run_revoke_token, text, more=name)
    revoking.add_argument("token", metavar="NAME", help="as the audit log names it")
    text = "end every token of a tenant at once: for a restored or imported system, or one whose tokens leaked"
    _add_on_tenant(commands, "invalidate-tokens", run_invalidate, text)


def _add_on_tenant(commands: Any, name: str, run: Any, text: str, *, more: str = "") -> argparse.ArgumentParser:
    """Add a command on one tenant. `more`: what its example says behind the tenant."""
    command = add_command(commands, name, run, text=text, example=f"mintmark tenant {name} acme{more}")
    command.add_argument("tenant")
    return command


def _add_create(commands: Any) -> None:
    example = "mintmark tenant create acme --dialect oauth2 --issuer https://acme.example.com --host acme.example.com"
    create = add_command(commands, "create", run_create, text="create a tenant with its first key", example=example)
    create.add_argument("tenant", help="its id: a-z, 0-9 and -")
    create.add_argument("--dialect", default="oauth2", help="its dialect (default: oauth2)")
    create.add_argument(
        "--issuer", metavar="URL", help="its issuer identifier (default: public_url, and /t/TENANT unless --default)"
    )
    create.add_argument("--host", action="append", default=[], help="a Host header that names it (repeatable)")
    create.add_argument("--identifier", help="the name that messages carry in its dialect, such as omadacId")
    create.add_argument("--title", default="", help="a name for people")
    create.add_argument("--msp", action="store_true", help="it may have customers")
    create.add_argument("--customer-of", metavar="TENANT", help="the msp whose customer it is")
    create.add_argument("--default", action="store_true", help="it answers where nothing else names a tenant")
    add_token_rules(create)
    add_json(create)


def _add_change(commands: Any) -> None:
    text = "change a tenant; what is not named stays"
    example = "mintmark tenant change acme --host acme.example.com --host www.acme.example.com"
    change = add_command(commands, "change", run_change, text=text, example=example)
    change.add_argument("tenant")
    change.add_argument("--title", help="a name for people")
    change.add_argument("--description", help="a note for people")
    change.add_argument("--issuer", metavar="URL", help="its issuer identifier; JWTs of another one die")
    change.add_argument("--host", action="append", help='a Host header that names it (repeatable; "": none)')
    change.add_argument(
        "--default",
        action=argparse.BooleanOptionalAction,
        help="whether it answers where nothing else names a tenant",
    )
    change.add_argument("--msp", action=argparse.BooleanOptionalAction, help="whether it may have customers")
    change.add_argument("--customer-of", metavar="TENANT", help='the msp whose customer it is ("": none)')
    add_token_rules(change)
    add_json(change)


def run_create(arguments: argparse.Namespace) -> int:
    """Create a tenant."""
    request = TenantRequest(
        tenant_id=arguments.tenant,
        dialect=arguments.dialect,
        issuer=arguments.issuer or _default_issuer(arguments),
        hosts=tuple(arguments.host),
        identifier=arguments.identifier,
        is_default=arguments.default,
        title=arguments.title,
        is_msp=arguments.msp,
        msp_id=arguments.customer_of,
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


def run_show(arguments: argparse.Namespace) -> int:
    """Show a tenant."""
    tenant = with_deployment(arguments, lambda one: show_tenant(one, arguments.tenant))
    _print(tenant, as_json=arguments.json)
    return 0


def _print(tenant: TenantRecord, *, as_json: bool) -> None:
    if as_json:
        print_json(msgspec.to_builtins(tenant))
    else:
        print_lines(msgspec.structs.asdict(tenant))


def run_change(arguments: argparse.Namespace) -> int:
    """Change a tenant."""
    customer_of = arguments.customer_of
    changes = TenantChanges(
        title=arguments.title,
        description=arguments.description,
        issuer=arguments.issuer,
        hosts=None if arguments.host is None else tuple(filter(None, arguments.host)),
        is_default=arguments.default,
        is_msp=arguments.msp,
        msp_id=msgspec.UNSET if customer_of is None else customer_of or None,
        token_rules=parse_token_rules(arguments.token_rules) if arguments.token_rules else None,
    )
    if changes == TenantChanges():
        raise AdministrationError("tenant change: say what to change, such as --host or --issuer")
    tenant = with_deployment(arguments, lambda one: change_tenant(one, arguments.tenant, changes))
    _print(tenant, as_json=arguments.json)
    return 0


def run_remove(arguments: argparse.Namespace) -> int:
    """Remove a tenant."""
    if not arguments.yes:
        raise AdministrationError(f"tenant remove: nothing brings {arguments.tenant!r} back; say --yes")
    with_deployment(arguments, lambda one: remove_tenant(one, arguments.tenant))
    print(f"tenant {arguments.tenant} removed")
    return 0


def run_revoke_token(arguments: argparse.Namespace) -> int:
    """End one token."""
    with_deployment(arguments, lambda one: revoke_named_token(one, arguments.tenant, arguments.token))
    print(f"token {arguments.token} has ended")
    return 0


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
