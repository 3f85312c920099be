"""`mintmark client`: create, import, list, show, update, disable, enable, remove, and the secrets."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from mintmark.admin.administration import Administration, AdministrationError
from mintmark.admin.client_secrets import (
    add_secret,
    list_expiring_secrets,
    remove_secret,
    reset_secret,
    rotate_secret,
)
from mintmark.admin.clients import (
    METHODS,
    ClientChanges,
    ClientRequest,
    change_client,
    check_clients,
    disable_client,
    list_clients,
    register_client,
    register_clients,
    remove_client,
    require_client,
)
from mintmark.cli.options import (
    add_command,
    add_json,
    add_noun,
    add_token_rules,
    format_moment,
    parse_token_rules,
    print_json,
    print_lines,
    print_table,
    with_deployment,
)
from mintmark.protocol.secret import Secret
from mintmark.store.records import ClientRecord

SHOWN_OF_SECRET = ("tenant_id", "client_id", "secret_id", "label", "created_at", "expires_at", "last_used_at")
IMPORT_BATCH = 5_000
RESOURCE_HELP = "audience for which it may introspect, as a resource server (repeatable)"
MAX_PAGE = 10_000
MAX_SECONDS = 10 * 365 * 86_400


class ImportLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One line of an import file."""

    client_id: str
    client_secret: str
    client_name: str = ""
    scope: tuple[str, ...] = ()
    audience: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"ImportLine(client_id={self.client_id!r})"


def add_parser(parsers: Any) -> None:
    """Add the noun and its commands."""
    text = "registered clients and their secrets"
    commands = add_noun(parsers, "client", text, example="mintmark client create --name reports")
    _add_create(commands)
    example = "mintmark client import --tenant default clients.jsonl"
    text = "register clients from a file, one JSON object a line: client_id, client_secret, scope, audience"
    importing = add_command(commands, "import", run_import, text=text, example=example)
    importing.add_argument("--tenant", default="default")
    importing.add_argument("file", type=Path)
    listing = add_command(commands, "list", run_list, text="list clients, by id", example="mintmark client list --json")
    listing.add_argument("--tenant", default="default")
    listing.add_argument("--after", default="", metavar="CLIENT_ID", help="begin behind this id")
    listing.add_argument("--limit", type=_read_limit, default=100, help="at most this many (default: 100)")
    add_json(listing)
    add_json(_add_on_client(commands, "show", run_show, "show a client; secrets are never shown"))
    for name, disabled in (("disable", True), ("enable", False)):
        _add_on_client(commands, name, partial(run_disable, disabled=disabled), f"{name} a client")
    update = _add_on_client(commands, "update", run_update, "change what a client may have")
    update.add_argument("--name", help="a name for people")
    update.add_argument("--scope", help="space-separated scope-tokens that it may have")
    update.add_argument("--audience", action="append", help='audience of its tokens (repeatable; "": none)')
    update.add_argument("--resource", action="append", help=RESOURCE_HELP)
    _add_on_client(commands, "remove", run_remove, "remove a client and its secrets")
    _add_secret_commands(commands)


def _add_secret_commands(commands: Any) -> None:
    text = "give a client a new secret, shown once; all older ones expire by themselves after an overlap"
    rotating = _add_on_client(commands, "rotate-secret", run_rotate_secret, text)
    rotating.add_argument(
        "--overlap",
        type=_read_seconds,
        metavar="SECONDS",
        help="for how long the older ones go on; 0: not at all (default: 86400, or 0 where the system has no overlap)",
    )
    _add_secret_options(rotating)
    secret = _add_on_client(commands, "add-secret", run_add_secret, "give a client one more secret, shown once")
    _add_secret_options(secret)
    text = "replace all secrets of a client by a new one, shown once"
    add_json(_add_on_client(commands, "reset-secret", run_reset_secret, text))
    removing = _add_on_client(commands, "remove-secret", run_remove_secret, "remove a secret")
    removing.add_argument("secret_id")
    text = "list the secrets that expire soon, the soonest first"
    expiring = add_command(commands, "expiring", run_expiring, text=text, example="mintmark client expiring --days 30")
    expiring.add_argument("--tenant", help="of this tenant alone")
    expiring.add_argument("--days", type=_read_limit, default=14, help="within so many days (default: 14)")
    add_json(expiring)


def _add_secret_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--label", default="", help="a note on what it is for")
    parser.add_argument(
        "--expires-in", type=_read_seconds, metavar="SECONDS", help="let the new secret expire (default: it does not)"
    )
    add_json(parser)


def _read_seconds(text: str) -> int:
    if not (text.isdecimal() and int(text) <= MAX_SECONDS):
        raise argparse.ArgumentTypeError(f"must be from 0 to {MAX_SECONDS} seconds")
    return int(text)


def _read_limit(text: str) -> int:
    if not (text.isdecimal() and 1 <= int(text) <= MAX_PAGE):
        raise argparse.ArgumentTypeError(f"must be from 1 to {MAX_PAGE}; --after goes on from there")
    return int(text)


def _add_create(commands: Any) -> None:
    example = 'mintmark client create --tenant default --name reports --scope "read write"'
    create = add_command(
        commands, "create", run_create, text="register a client; its secret is shown once", example=example
    )
    create.add_argument("--tenant", default="default", help="its tenant (default: default)")
    create.add_argument("--name", default="", help="a name for people")
    create.add_argument("--client-id", help="its id (default: one is made)")
    create.add_argument(
        "--client-secret-file", type=Path, metavar="FILE", help="take this secret (default: one is made)"
    )
    create.add_argument("--scope", default="", help="space-separated scope-tokens that it may have")
    create.add_argument("--audience", action="append", default=[], help="audience of its tokens (repeatable)")
    create.add_argument("--resource", action="append", default=[], help=RESOURCE_HELP)
    create.add_argument("--method", action="append", choices=METHODS, help="client authentication method (repeatable)")
    add_token_rules(create)
    add_json(create)


def _add_on_client(commands: Any, name: str, run: Any, text: str) -> argparse.ArgumentParser:
    command = add_command(commands, name, run, text=text, example=f"mintmark client {name} --tenant default demo")
    command.add_argument("--tenant", default="default")
    command.add_argument("client_id")
    return command


def run_create(arguments: argparse.Namespace) -> int:
    """Register a client."""
    request = ClientRequest(
        tenant_id=arguments.tenant,
        client_id=arguments.client_id,
        client_secret=_read_secret(arguments.client_secret_file),
        client_name=arguments.name,
        scope=tuple(arguments.scope.split()),
        audience=tuple(arguments.audience),
        resources=tuple(arguments.resource),
        authentication_methods=tuple(arguments.method or METHODS),
        token_rules=parse_token_rules(arguments.token_rules),
    )
    made = with_deployment(arguments, lambda administration: register_client(administration, request))
    shown = {"client_id": made.client.client_id}
    if made.is_generated:
        shown["client_secret"] = made.client_secret.reveal()
    _show_once(shown, as_json=arguments.json)
    return 0


def _show_once(shown: dict[str, str], *, as_json: bool) -> None:
    if as_json:
        print_json(shown)
        return
    for name, value in shown.items():
        print(f"{name}: {value}")
    if "client_secret" in shown:
        print("The secret is shown this once and kept only as a hash.")


def _read_secret(file: Path | None) -> Secret | None:
    if file is None:
        return None
    try:
        return Secret(file.read_text("utf-8").rstrip("\r\n"))
    except (OSError, UnicodeDecodeError) as error:
        raise AdministrationError(f"{file}: the secret cannot be read") from error


def run_import(arguments: argparse.Namespace) -> int:
    """Register clients from a file."""
    count = with_deployment(arguments, lambda one: _import(one, arguments.tenant, arguments.file))
    print(f"{count} clients registered")
    return 0


async def _import(administration: Administration, tenant_id: str, file: Path) -> int:
    """Check every line before the first is written; then write in bounded steps."""
    requests = _read_lines(file, tenant_id)
    await check_clients(administration, tenant_id, requests)
    for start in range(0, len(requests), IMPORT_BATCH):
        try:
            await register_clients(administration, tenant_id, requests[start : start + IMPORT_BATCH])
        except AdministrationError as error:
            raise AdministrationError(f"{error}; {start} clients of earlier lines were registered") from error
    return len(requests)


def _read_lines(file: Path, tenant_id: str) -> list[ClientRequest]:
    requests = []
    try:
        lines = file.read_bytes().splitlines()
    except OSError as error:
        raise AdministrationError(f"{file}: cannot be read: {error.strerror}") from error
    for number, octets in enumerate(lines, 1):
        if not octets.strip():
            continue
        try:
            line = msgspec.json.decode(octets, type=ImportLine)
        except msgspec.DecodeError as error:
            raise AdministrationError(f"{file}:{number}: {error}") from error
        except UnicodeDecodeError:
            raise AdministrationError(f"{file}:{number}: not UTF-8") from None
        requests.append(
            ClientRequest(
                tenant_id=tenant_id,
                origin=f"{file}:{number}",
                client_id=line.client_id,
                client_secret=Secret(line.client_secret),
                client_name=line.client_name,
                scope=line.scope,
                audience=line.audience,
            )
        )
    return requests


def run_list(arguments: argparse.Namespace) -> int:
    """List clients."""
    clients = with_deployment(
        arguments,
        lambda one: list_clients(one, arguments.tenant, after=arguments.after, limit=arguments.limit),
    )
    if arguments.json:
        print_json([describe_client(client) for client in clients])
    else:
        rows = [
            (one.client_id, one.client_name, " ".join(one.scope), "disabled" if one.is_disabled else "")
            for one in clients
        ]
        print_table(("CLIENT_ID", "NAME", "SCOPE", "STATE"), rows)
    return 0


def run_show(arguments: argparse.Namespace) -> int:
    """Show a client."""
    client = with_deployment(arguments, lambda one: require_client(one, arguments.tenant, arguments.client_id))
    if arguments.json:
        print_json(describe_client(client))
        return 0
    print_lines({name: value for name, value in describe_client(client).items() if name != "secrets"})
    for secret in client.secrets:
        times = [(name, getattr(secret, name)) for name in ("created_at", "expires_at", "last_used_at")]
        told = [f"{name} {format_moment(at)}" for name, at in times if at is not None]
        print("secret: " + ", ".join(filter(None, [secret.secret_id, secret.label, *told])))
    return 0


def describe_client(client: ClientRecord) -> dict[str, Any]:
    """Return what may be shown of a client: all but the hashes of its secrets."""
    shown: dict[str, Any] = msgspec.to_builtins(client)
    for secret in shown["secrets"]:
        del secret["hash"], secret["tenant_id"], secret["client_id"]
    return shown


def run_disable(arguments: argparse.Namespace, *, disabled: bool) -> int:
    """Disable or enable a client."""
    with_deployment(
        arguments, lambda one: disable_client(one, arguments.tenant, arguments.client_id, disabled=disabled)
    )
    print(f"client {arguments.client_id} {'disabled' if disabled else 'enabled'}")
    return 0


def run_update(arguments: argparse.Namespace) -> int:
    """Change a client."""
    changes = ClientChanges(
        client_name=arguments.name,
        scope=None if arguments.scope is None else tuple(arguments.scope.split()),
        audience=None if arguments.audience is None else tuple(filter(None, arguments.audience)),
        resources=None if arguments.resource is None else tuple(filter(None, arguments.resource)),
    )
    if changes == ClientChanges():
        raise AdministrationError("client update: say what to change: --name, --scope, --audience or --resource")
    with_deployment(arguments, lambda one: change_client(one, arguments.tenant, arguments.client_id, changes))
    print(f"client {arguments.client_id} changed")
    return 0


def run_reset_secret(arguments: argparse.Namespace) -> int:
    """Replace a client's secrets."""
    secret = with_deployment(arguments, lambda one: reset_secret(one, arguments.tenant, arguments.client_id))
    shown = {"client_id": arguments.client_id, "client_secret": secret.reveal()}
    _show_once(shown, as_json=arguments.json)
    return 0


def run_remove(arguments: argparse.Namespace) -> int:
    """Remove a client."""
    with_deployment(arguments, lambda one: remove_client(one, arguments.tenant, arguments.client_id))
    print(f"client {arguments.client_id} removed")
    return 0


def run_add_secret(arguments: argparse.Namespace) -> int:
    """Add a secret."""
    record, secret = with_deployment(
        arguments,
        lambda one: add_secret(
            one,
            arguments.tenant,
            arguments.client_id,
            label=arguments.label,
            expires_at=_read_expiry(one, arguments.expires_in),
        ),
    )
    shown = {"secret_id": record.secret_id, "client_secret": secret.reveal()}
    _show_once(shown, as_json=arguments.json)
    return 0


def run_rotate_secret(arguments: argparse.Namespace) -> int:
    """Rotate a client's secret."""
    record, secret = with_deployment(
        arguments,
        lambda one: rotate_secret(
            one,
            arguments.tenant,
            arguments.client_id,
            overlap_s=arguments.overlap,
            label=arguments.label,
            expires_at=_read_expiry(one, arguments.expires_in),
        ),
    )
    shown = {"secret_id": record.secret_id, "client_secret": secret.reveal()}
    _show_once(shown, as_json=arguments.json)
    return 0


def _read_expiry(administration: Administration, expires_in_s: int | None) -> int | None:
    return None if expires_in_s is None else administration.now() + expires_in_s


def run_expiring(arguments: argparse.Namespace) -> int:
    """List secrets that expire soon."""
    within_s = arguments.days * 86_400
    found = with_deployment(
        arguments, lambda one: list_expiring_secrets(one, arguments.tenant, within_s=within_s, limit=MAX_PAGE)
    )
    shown = [{name: getattr(secret, name) for name in SHOWN_OF_SECRET} for secret in found]
    if arguments.json:
        print_json(shown)
    else:
        names = ("tenant_id", "client_id", "secret_id", "label")
        rows = [
            (*(one[name] for name in names), format_moment(one["expires_at"]), format_moment(one["last_used_at"]))
            for one in shown
        ]
        print_table(("TENANT", "CLIENT_ID", "SECRET_ID", "LABEL", "EXPIRES", "LAST USED"), rows)
    return 0


def run_remove_secret(arguments: argparse.Namespace) -> int:
    """Remove a secret."""
    with_deployment(
        arguments, lambda one: remove_secret(one, arguments.tenant, arguments.client_id, arguments.secret_id)
    )
    print(f"secret {arguments.secret_id} removed")
    return 0
