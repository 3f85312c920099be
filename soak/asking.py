"""Requests of the callers, sent through the load balancer, and what is written down of each."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import deque
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import httpx

from soak.broken import LabError
from soak.journal import UNANSWERED, Entry, digest

PATIENCE_S: Final = 20.0
RETRY_S: Final = 0.3
REMEMBERED: Final = 200
OMADAC_ID: Final = "0f" * 16
"""Which tenant an Omada message means."""
NODE: Final = "x-node"
"""The load balancer's word on who answered."""


class Client(NamedTuple):
    """A registered client, and how its tenant's system is asked."""

    tenant: str
    client_id: str
    secret: str
    dialect: str = "oauth2"

    @property
    def fields(self) -> dict[str, str]:
        """Return its credentials as parameters."""
        return {"client_id": self.client_id, "client_secret": self.secret}


class Tokens(NamedTuple):
    """What a token response brought."""

    access: str
    refresh: str
    family: str


class Answer(NamedTuple):
    """An answer, or with status 0 none, and its times."""

    began: float
    ended: float
    node: str
    status: int
    members: dict[str, Any]


class Asking:
    """Sends requests and keeps the journal."""

    def __init__(self, url: str, journal: list[Entry], limits: httpx.Limits | None = None) -> None:
        self.journal = journal
        self.given: dict[str, tuple[Client, str]] = {}
        """Every access token that was given, by its digest, and whose it is."""
        self.lately: deque[str] = deque(maxlen=REMEMBERED)
        self._client = httpx.AsyncClient(base_url=url, timeout=PATIENCE_S, limits=limits or httpx.Limits())
        self._start = time.monotonic()

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    @property
    def now(self) -> float:
        """Return the seconds since the soak began."""
        return time.monotonic() - self._start

    async def send(self, method: str, path: str, **named: Any) -> Answer:
        """Send a request and return what came, also where nothing came."""
        began = self.now
        try:
            got = await self._client.request(method, path, **named)
        except httpx.HTTPError:
            return Answer(began, self.now, "", UNANSWERED, {})
        is_json = got.content.startswith(b"{")
        return Answer(began, self.now, got.headers.get(NODE, ""), got.status_code, got.json() if is_json else {})

    def note(self, answer: Answer, act: str, subject: str, outcome: str, **named: Any) -> None:
        """Write an answer down."""
        self.journal.append(
            Entry(answer.began, answer.ended, act, subject, answer.status, outcome, answer.node, **named)
        )

    async def issue(self, client: Client) -> Tokens | None:
        """Ask for a token; None where none came."""
        answer = await self._ask_for_token(client, {})
        found = read_tokens(answer, "")
        self._note_tokens(answer, client, found, act="issue", subject=client.client_id)
        return found

    async def ask_node(self, client: Client, node: str, url: str) -> None:
        """Ask a node for a token past the load balancer, which may have left it out. That it is silent is no news."""
        fields = {**client.fields, "grant_type": "client_credentials"}
        answer = await self.send("POST", f"{url}/t/{client.tenant}/oauth2/token", data=fields)
        if answer.status in {200, 401}:
            found = read_tokens(answer, "")
            self._note_tokens(answer._replace(node=node), client, found, act="issue", subject=client.client_id)

    async def refresh(self, client: Client, tokens: Tokens) -> Tokens | None:
        """Use a refresh token; None where it brought nothing."""
        answer = await self._ask_for_token(client, {"refresh_token": tokens.refresh})
        found = read_tokens(answer, tokens.family)
        subject = digest(tokens.refresh)
        self._note_tokens(answer, client, found, act="refresh", subject=subject, family=tokens.family)
        return found

    async def _ask_for_token(self, client: Client, more: Mapping[str, str]) -> Answer:
        grant_type = "refresh_token" if more else "client_credentials"
        if client.dialect == "omada":
            path = f"/t/{client.tenant}/openapi/authorize/token?grant_type={grant_type}"
            return await self.send("POST", path, json={"omadacId": OMADAC_ID, **client.fields, **more})
        fields = {**client.fields, **more, "grant_type": grant_type}
        return await self.send("POST", f"/t/{client.tenant}/oauth2/token", data=fields)

    def _note_tokens(
        self, answer: Answer, client: Client, found: Tokens | None, *, act: str, subject: str, family: str = ""
    ) -> None:
        given = () if found is None else tuple(digest(one) for one in (found.access, found.refresh) if one)
        is_read = found is not None or answer.status in {400, 401} or "errorCode" in answer.members
        outcome = "granted" if found else "refused" if is_read and answer.status < 500 else ""
        body = answer.members.get("result") or answer.members
        lifetime_s = body.get("expires_in") or body.get("expiresIn") or 0
        family = family or ("again" if client.dialect == "wso2" else found.family if found else "")
        credential = digest(client.secret)
        self.note(
            answer, act, subject, outcome, given=given, lifetime_s=lifetime_s, credential=credential, family=family
        )
        if found is not None:
            self.given[given[0]] = (client, found.access)
            self.lately.append(given[0])

    async def introspect(self, client: Client, token: str) -> bool | None:
        """Ask whether a token is alive; None where that is not answered."""
        path = f"/t/{client.tenant}/oauth2/introspect"
        answer = await self.send("POST", path, data={**client.fields, "token": token})
        active = answer.members.get("active") if answer.status == 200 else None
        refused = "refused" if answer.status in {400, 401, 403} else ""
        self.note(answer, "introspect", digest(token), refused if active is None else "active" if active else "dead")
        return active

    async def revoke(self, client: Client, token: str) -> None:
        """End a token."""
        answer = await self.send("POST", f"/t/{client.tenant}/oauth2/revoke", data={**client.fields, "token": token})
        self.note(answer, "revoke", digest(token), done(answer))


class Administrator:
    """Changes clients by the management API, again and again until it is told that it is done."""

    def __init__(self, asking: Asking, admin: Client) -> None:
        self._asking = asking
        self._admin = admin
        self._token = ""

    async def call(self, method: str, path: str, body: object, key: str | None = None) -> Answer:
        """Call the API with a token of its own."""
        while not self._token:
            found = await self._asking.issue(self._admin)
            self._token = found.access if found else ""
        headers = {"authorization": f"Bearer {self._token}"} | ({"idempotency-key": key} if key else {})
        return await self._asking.send(method, f"/api/v1{path}", json=body, headers=headers)

    async def register(self, tenant: str, dialect: str, **members: object) -> Client:
        """Register a client. Raises: LabError."""
        answer = await self.call("POST", f"/tenants/{tenant}/clients", members)
        if answer.status != 201:
            raise LabError(f"registering {members}: {answer}")
        return Client(tenant, answer.members["client_id"], answer.members["client_secret"], dialect)

    async def set_disabled(self, client: Client, *, is_disabled: bool) -> None:
        """Suspend or resume a client."""
        path = f"/tenants/{client.tenant}/clients/{client.client_id}"
        is_done = ""
        while not is_done:
            answer = await self.call("PATCH", path, {"is_disabled": is_disabled})
            is_done = done(answer)
            self._asking.note(answer, "suspend" if is_disabled else "resume", client.client_id, is_done)
            await asyncio.sleep(0.0 if is_done else RETRY_S)

    async def rotate(self, client: Client, overlap_s: int) -> Client:
        """Give a client a new secret, and return it with that. Asked again, the server tells of the same secret."""
        key = str(uuid.uuid4())
        while True:
            path = f"/tenants/{client.tenant}/clients/{client.client_id}/secrets/rotate"
            answer = await self.call("POST", path, {"overlap_s": overlap_s}, key)
            secret = answer.members.get("client_secret", "")
            given = (digest(secret),) if secret else ()
            self._asking.note(answer, "rotate", client.client_id, done(answer), given=given)
            if secret:
                return client._replace(secret=secret)
            await asyncio.sleep(RETRY_S)


def done(answer: Answer) -> str:
    """Return the outcome of what needs no more than to be done."""
    if answer.status in {200, 201, 204}:
        return "done"
    return "refused" if 400 <= answer.status < 500 else ""


def read_tokens(answer: Answer, family: str) -> Tokens | None:
    """Read a token response; the first refresh token names the family."""
    body = answer.members.get("result") or answer.members
    access = body.get("access_token") or body.get("accessToken")
    refresh = body.get("refreshToken", "")
    if answer.status != 200 or not access:
        return None
    return Tokens(access, refresh, family or (digest(refresh) if refresh else ""))
