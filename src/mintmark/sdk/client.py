"""The two drivers: `TokenClient` blocks, `AsyncTokenClient` awaits. The exchange holds what they share."""

from __future__ import annotations

import ssl
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import httpx

from mintmark.dialects.catalogue import load_dialects
from mintmark.dialects.codec import Dialect
from mintmark.protocol.errors import SettingsError
from mintmark.protocol.http import HttpResponse
from mintmark.protocol.messages import TokenResponse
from mintmark.sdk.cache import AsyncTokenCache, TokenCache
from mintmark.sdk.exchange import ClientCredentialsRequest, TokenExchange

TIMEOUT_S: Final = 10.0
LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
FAULTS: Final = (httpx.HTTPError, httpx.InvalidURL)

Verify = bool | str | Path


class TokenClient:
    """Asks a token endpoint for one client's tokens, from any thread.

    Args:
        url: the token endpoint, or `scheme://host[:port][/prefix]`; the dialect's token path is then added.
        request: who asks, and what for.
        dialect: a name of those that come with the program, or one that was made from a file.
        verify: check the server's certificate; a path names a PEM file or folder of authorities to trust.
            False checks nothing, and lets plain http leave this machine.
        timeout_s: seconds for connecting, and for each read and write.
        transport: how to reach the server, if not over the network.

    Raises:
        SettingsError: an argument is wrong; names it.
    RFC: 6749 section 4.4.
    """

    def __init__(
        self,
        url: str,
        request: ClientCredentialsRequest,
        *,
        dialect: str | Dialect = "oauth2",
        verify: Verify = True,
        timeout_s: float = TIMEOUT_S,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._exchange = TokenExchange(find_dialect(dialect), url, request)
        if transport is None:
            _require_encryption(self._exchange, url, verify=verify)
        self._http = httpx.Client(verify=_make_verify(verify), timeout=timeout_s, transport=transport)
        self._cache = TokenCache(self.fetch)

    def __repr__(self) -> str:
        return f"TokenClient({self._exchange!r})"

    def token(self) -> TokenResponse:
        """Return a token that lives for a while yet, asking only when there is none.

        `expires_in` is what is left of its life, in seconds.

        Raises:
            OAuthError: the server refused.
            TokenEndpointUnreachable: it gave no answer.
        """
        return self._cache.get()

    def fetch(self) -> TokenResponse:
        """Ask the server now, once, and keep nothing. Raises: as `token`."""
        outgoing = self._exchange.encode()
        try:
            answer = self._http.request(
                outgoing.method, outgoing.url, headers=list(outgoing.headers.items()), content=outgoing.body
            )
        except FAULTS as error:
            cause = describe_fault(error)
        else:
            return self._exchange.decode(_read_answer(answer))
        # Raised out here, because httpx's error holds the request, and with it the credentials.
        raise self._exchange.unreachable(cause)

    def authorization(self) -> str:
        """Return the `Authorization` header value for a call to an API. Raises: as `token`."""
        return self.present(self.token())

    def present(self, response: TokenResponse) -> str:
        """Return the `Authorization` header value for this token."""
        return self._exchange.format_authorization(response)

    def forget(self, response: TokenResponse | None = None) -> None:
        """Drop the kept token, if it is still this one: for when an API refuses a token before its time."""
        self._cache.forget(response)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncTokenClient:
    """`TokenClient` for asyncio: the same arguments, rules and errors. RFC: 6749 section 4.4."""

    def __init__(
        self,
        url: str,
        request: ClientCredentialsRequest,
        *,
        dialect: str | Dialect = "oauth2",
        verify: Verify = True,
        timeout_s: float = TIMEOUT_S,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._exchange = TokenExchange(find_dialect(dialect), url, request)
        if transport is None:
            _require_encryption(self._exchange, url, verify=verify)
        self._http = httpx.AsyncClient(verify=_make_verify(verify), timeout=timeout_s, transport=transport)
        self._cache = AsyncTokenCache(self.fetch)

    def __repr__(self) -> str:
        return f"AsyncTokenClient({self._exchange!r})"

    async def token(self) -> TokenResponse:
        """Return a token that lives for a while yet, asking only when there is none.

        `expires_in` is what is left of its life, in seconds.

        Raises:
            OAuthError: the server refused.
            TokenEndpointUnreachable: it gave no answer.
        """
        return await self._cache.get()

    async def fetch(self) -> TokenResponse:
        """Ask the server now, once, and keep nothing. Raises: as `token`."""
        outgoing = self._exchange.encode()
        try:
            answer = await self._http.request(
                outgoing.method, outgoing.url, headers=list(outgoing.headers.items()), content=outgoing.body
            )
        except FAULTS as error:
            cause = describe_fault(error)
        else:
            return self._exchange.decode(_read_answer(answer))
        # Raised out here, because httpx's error holds the request, and with it the credentials.
        raise self._exchange.unreachable(cause)

    async def authorization(self) -> str:
        """Return the `Authorization` header value for a call to an API. Raises: as `token`."""
        return self.present(await self.token())

    def present(self, response: TokenResponse) -> str:
        """Return the `Authorization` header value for this token."""
        return self._exchange.format_authorization(response)

    def forget(self, response: TokenResponse | None = None) -> None:
        """Drop the kept token, if it is still this one: for when an API refuses a token before its time."""
        self._cache.forget(response)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


def find_dialect(dialect: str | Dialect) -> Dialect:
    """Return the dialect of this name, or the dialect itself. Raises: SettingsError, naming all there are."""
    if isinstance(dialect, Dialect):
        return dialect
    known = load_dialects()
    if dialect not in known:
        raise SettingsError(f"dialect: {dialect!r} is unknown; one of {', '.join(sorted(known))}")
    return known[dialect]


def describe_fault(error: Exception) -> str:
    """Say in a line what went wrong on the way; a fault that may quote the request is named by its kind."""
    is_safe = isinstance(error, httpx.NetworkError | httpx.TimeoutException)
    return (str(error) if is_safe else "") or type(error).__name__


def _read_answer(answer: httpx.Response) -> HttpResponse:
    return HttpResponse(answer.status_code, tuple(answer.headers.raw), answer.content)


def _require_encryption(exchange: TokenExchange, url: str, *, verify: Verify) -> None:
    """Credentials cross the network encrypted, unless that was waived. RFC: 6749 section 2.3.1."""
    is_waived = verify is False or httpx.URL(url).host in LOOPBACK
    if not exchange.is_encrypted and not is_waived:
        raise SettingsError("url: plain http would send the client secret in the clear; use https")


def _make_verify(verify: Verify) -> ssl.SSLContext | bool:
    if isinstance(verify, bool):
        return verify
    path = Path(verify)
    try:
        if path.is_dir():
            return ssl.create_default_context(capath=path)
        return ssl.create_default_context(cafile=path)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"verify: {path}: {error.strerror or error}") from error
