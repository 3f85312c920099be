"""`mintmark token`: asks any server of any dialect for an access token, and prints it."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from mintmark.dialects.codec import Dialect
from mintmark.dialects.definition import load_definition
from mintmark.protocol.errors import MintmarkError, OAuthError, SettingsError
from mintmark.protocol.messages import TokenResponse
from mintmark.protocol.secret import Secret
from mintmark.sdk.client import TokenClient, Verify
from mintmark.sdk.exchange import ClientCredentialsRequest

DESCRIPTION = """\
Ask a token endpoint for an access token by the client credentials grant, and print it.

The client secret comes from a file, from an environment variable or from a prompt.
There is no option that takes the secret itself, on purpose: everyone on this machine
could read it with ps, and the shell would keep it in its history."""

EXAMPLE = """\
examples:
  mintmark token https://id.example --client-id billing --client-secret-file secret.txt
  mintmark token https://omada.example:8043 --dialect omada --insecure \\
      --tenant-identifier de382a0e78f4deb681f3128c3e75dbd1 \\
      --client-id 185586e0df424f5ea938de13cba91e01 --client-secret-env OMADA_SECRET
  curl https://api.example/orders -H "$(mintmark token https://id.example \\
      --client-id billing --client-secret-file - --header < secret.txt)"
"""


class _RefuseSecret(argparse.Action):
    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> NoReturn:
        parser.error("a secret on the command line is seen by all with ps; use --client-secret-file or -env")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb `token` and its options."""
    parser = subparsers.add_parser(
        "token",
        help="ask a server for an access token",
        description=DESCRIPTION,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("url", metavar="URL", help="the token endpoint, or the server's scheme://host[:port][/prefix]")
    _add_dialect_options(parser)
    _add_request_options(parser)
    _add_transport_options(parser)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print all members of the answer, under their RFC names")
    form.add_argument("--header", action="store_true", help="print the Authorization header for a call to an API")
    parser.set_defaults(func=run)


def _add_dialect_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--dialect", default="oauth2", help="what the server speaks (default: oauth2)")
    group.add_argument("--dialect-file", type=Path, metavar="FILE", help="a dialect file of your own")


def _add_request_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--client-id", required=True, metavar="ID")
    secret = parser.add_mutually_exclusive_group()
    secret.add_argument("--client-secret-file", metavar="FILE", help="read the secret from a file; - is stdin")
    secret.add_argument("--client-secret-env", metavar="VAR", help="read the secret from an environment variable")
    secret.add_argument("--client-secret", nargs="?", action=_RefuseSecret, help=argparse.SUPPRESS)
    parser.add_argument("--scope", metavar="S", help="space-separated scope-tokens")
    parser.add_argument("--tenant-identifier", metavar="X", help="the tenant's name in the message (omadacId)")
    parser.add_argument("--method", choices=["client_secret_basic", "client_secret_post"])


def _add_transport_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--ca", type=Path, metavar="FILE", help="authorities to trust, a PEM file")
    group.add_argument("--insecure", action="store_true", help="check no certificate, and allow plain http")


def run(arguments: argparse.Namespace) -> int:
    """Ask for a token and print it.

    Raises:
        MintmarkError: the server refused or gave no answer, or an argument is wrong.
    """
    request = ClientCredentialsRequest(
        arguments.client_id,
        read_secret(arguments),
        arguments.scope,
        arguments.tenant_identifier,
        arguments.method,
    )
    verify: Verify = arguments.ca or not arguments.insecure
    with TokenClient(arguments.url, request, dialect=choose_dialect(arguments), verify=verify) as client:
        response = _fetch(client)
        if arguments.header:
            print(f"Authorization: {client.present(response)}")
        else:
            print(format_json(response) if arguments.json else response.access_token.reveal())
    return 0


def choose_dialect(arguments: argparse.Namespace) -> str | Dialect:
    """Return the dialect's name, or the dialect in the user's own file. Raises: SettingsError."""
    if arguments.dialect_file is None:
        return str(arguments.dialect)
    return Dialect(load_definition(arguments.dialect_file))


def read_secret(arguments: argparse.Namespace) -> Secret:
    """Read the client secret, less one line end, from where the options say, else from a prompt.

    Raises:
        SettingsError: it cannot be read, or nobody is there to be asked; names the option.
    """
    if arguments.client_secret_env is not None:
        return Secret(_read_environment(arguments.client_secret_env))
    if arguments.client_secret_file is not None:
        text = _read_file(arguments.client_secret_file)
        return Secret(text.removesuffix("\n").removesuffix("\r"))
    if not sys.stdin.isatty():
        raise SettingsError("no client secret: give --client-secret-file FILE (- is stdin) or --client-secret-env VAR")
    return Secret(getpass.getpass("client secret: "))


def _read_environment(name: str) -> str:
    if name not in os.environ:
        raise SettingsError(f"--client-secret-env: {name} is not set")
    return os.environ[name]


def _read_file(name: str) -> str:
    try:
        return sys.stdin.read() if name == "-" else Path(name).read_text("utf-8")
    except OSError as error:
        raise SettingsError(f"--client-secret-file: {name}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise SettingsError(f"--client-secret-file: {name}: not UTF-8") from None


def _fetch(client: TokenClient) -> TokenResponse:
    try:
        return client.fetch()
    except OAuthError as error:
        said = error.server_description or error.description
        raise MintmarkError(f"the server answered {error.code}: {said} ({error.detail})") from error


def format_json(response: TokenResponse) -> str:
    """Write all members of the answer that there are, as a JSON object. RFC: 6749 section 5.1."""
    members = {name: value for name, value in msgspec.structs.asdict(response).items() if value is not None}
    return json.dumps(members, default=Secret.reveal, indent=2)
