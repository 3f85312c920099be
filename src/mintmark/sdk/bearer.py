"""The token put on each request of an httpx client: `httpx.Client(auth=TokenAuth(client))`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator

import httpx

from mintmark.sdk.client import AsyncTokenClient, TokenClient


class TokenAuth(httpx.Auth):
    """Adds the token to each request; forgets it when the API answers 401, and repeats no request.

    RFC: 6750 sections 2.1, 3.1.
    """

    def __init__(self, client: TokenClient) -> None:
        self._client = client

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Set the `Authorization` header. Raises: as `TokenClient.token`."""
        token = self._client.token()
        request.headers["Authorization"] = self._client.present(token)
        answer = yield request
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            self._client.forget(token)


class AsyncTokenAuth(httpx.Auth):
    """`TokenAuth` for an `httpx.AsyncClient`. RFC: 6750 sections 2.1, 3.1."""

    def __init__(self, client: AsyncTokenClient) -> None:
        self._client = client

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Set the `Authorization` header. Raises: as `AsyncTokenClient.token`."""
        token = await self._client.token()
        request.headers["Authorization"] = self._client.present(token)
        answer = yield request
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            self._client.forget(token)
