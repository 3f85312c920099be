"""The difference between the secrets that a file refers to and those that a client has.

A given secret is known by its value, held against the stored hashes; a made one by its label. Neither a value nor a
hash is in a step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any, Final, NamedTuple

from mintmark.admin.administration import Administration
from mintmark.admin.client_secrets import SecretRequest, give_secret, remove_secret
from mintmark.admin.declaration import DeclaredClient, DeclaredSecret, Fault, show_moment
from mintmark.admin.declared_lines import Path
from mintmark.admin.declared_secrets import MadeForClient, NoSecret, References, describe_reference
from mintmark.admin.plan import Change, Step
from mintmark.authentication.authenticate import live_secrets
from mintmark.authentication.client_secret import SecretVerifier
from mintmark.authentication.secrets import is_generated
from mintmark.grants.rules import Rules
from mintmark.protocol.secret import Secret
from mintmark.store.records import ClientRecord, SecretRecord

ONE_SECRET: Final = "secrets: in this system a client has one"


class Wanted(NamedTuple):
    """A secret that the file refers to, fetched; without a value it is to be made."""

    secret: DeclaredSecret
    client_secret: Secret | None
    references: References

    @property
    def described(self) -> str:
        """Where it comes from, and its label."""
        label = f", label {self.secret.label}" if self.secret.label else ""
        return describe_reference(self.secret) + label

    @property
    def request(self) -> SecretRequest:
        """What the verb takes."""
        secret = self.secret
        return SecretRequest(client_secret=self.client_secret, label=secret.label, expires_at=secret.expires_at)

    def tell(self, client: ClientRecord, made: Secret) -> list[MadeForClient]:
        """Return the secret to be told once, where it was made. Raises: NoSecret (its file is there already)."""
        if self.client_secret is not None:
            return []
        target = self.references.target(self.secret)
        return [MadeForClient(client.tenant_id, client.client_id, self.secret.label, made, target)]


async def give_wanted(administration: Administration, client: ClientRecord, wanted: Wanted) -> list[MadeForClient]:
    """Give a client a secret. Raises: AdministrationError."""
    _, made = await give_secret(administration, client.tenant_id, client.client_id, wanted.request)
    return wanted.tell(client, made)


Found = tuple[list[Step], list[Fault]]


class SecretPlanner:
    """Plans the secrets of clients."""

    def __init__(self, administration: Administration, references: References, verifier: SecretVerifier) -> None:
        self._administration = administration
        self._references = references
        self._verifier = verifier

    def of_new_client(self, client: DeclaredClient) -> tuple[list[Wanted], list[Fault]]:
        """Return the secrets of a client that is to be registered: where none is named, one is made.

        There is always one, so that with a fault in these the rest of the client can be judged all the same.
        """
        made = DeclaredSecret(path=(*client.path, "secret"), generate=True)
        wanted, faults = self._fetch((made,) if client.secrets is None else client.secrets)
        if not wanted:
            faults = faults or [Fault(client.path, "a new client needs a secret that has not expired")]
            wanted = [Wanted(made, None, self._references)]
        return wanted, faults + self._repeated(wanted)

    async def of_client(self, found: ClientRecord, client: DeclaredClient, *, prunes: bool) -> Found:
        """Return the steps from the secrets that a client has to those that the file names."""
        if client.secrets is None:
            return [], []
        wanted, faults = self._fetch(client.secrets)
        faults += self._repeated(wanted)
        rules = await self._administration.require_rules(found.tenant_id)
        if not rules.secrets.overlap and len(wanted) > 1:
            faults.append(Fault(client.path, ONE_SECRET))
        if faults:
            return [], faults
        live = live_secrets(found, self._administration.now())
        pairs = [(one, await self._match(one, live, rules)) for one in [*wanted, *self._ended(client.secrets)]]
        return _steps(found, self._compare(pairs, live, client.path), rules, prunes=prunes)

    def _has_expired(self, secret: DeclaredSecret) -> bool:
        return secret.expires_at is not None and secret.expires_at <= self._administration.now()

    def _ended(self, secrets: Sequence[DeclaredSecret]) -> list[Wanted]:
        """Return what has expired and can still be recognised."""
        ended = []
        for secret in filter(self._has_expired, secrets):
            with suppress(NoSecret):
                ended.append(Wanted(secret, self._references.fetch(secret), self._references))
        return ended

    def _compare(
        self, pairs: Sequence[tuple[Wanted, SecretRecord | None]], live: Sequence[SecretRecord], path: Path
    ) -> _Difference:
        """Find made secrets by their label among those that no given one is, and sort all."""
        difference = _Difference(path)
        taken = {row.secret_id for _, row in pairs if row is not None}
        rest = {row.secret_id: row for row in live if row.secret_id not in taken}
        for wanted, row in pairs:
            found = row or next((one for one in rest.values() if _is_made(wanted, one)), None)
            if self._has_expired(wanted.secret):
                difference.doomed += [] if found is None else [found]
            else:
                difference.sort(wanted, found)
            if found is not None:
                rest.pop(found.secret_id, None)
        difference.unnamed += rest.values()
        return difference

    def _fetch(self, secrets: Sequence[DeclaredSecret]) -> tuple[list[Wanted], list[Fault]]:
        """Fetch what has not expired."""
        wanted, faults = [], []
        for secret in (one for one in secrets if not self._has_expired(one)):
            try:
                wanted.append(Wanted(secret, self._references.fetch(secret), self._references))
            except NoSecret as error:
                faults.append(Fault(secret.path, str(error)))
        return wanted, faults

    def _repeated(self, wanted: Sequence[Wanted]) -> list[Fault]:
        """Return the faults of given secrets that stand twice, and of made ones that share a label."""
        seen: set[str] = set()
        faults = []
        for one in wanted:
            mark = self._mark(one)
            if mark in seen:
                text = "another made secret has this label" if one.client_secret is None else "this secret stands twice"
                faults.append(Fault(one.secret.path, text))
            seen.add(mark)
        return faults

    def _mark(self, wanted: Wanted) -> str:
        secret = wanted.client_secret
        if secret is None:
            return f"label {wanted.secret.label}"
        return self._administration.keyed_hash.hash_secret(secret.encoded())

    async def _match(self, wanted: Wanted, live: Sequence[SecretRecord], rules: Rules) -> SecretRecord | None:
        """Return the stored secret that a given one is; a made one is found by its label, later."""
        secret = wanted.client_secret
        if secret is None:
            return None
        form = rules.client_secret_form
        kind = "hmac-sha256" if is_generated(secret, form) else "argon2id"
        for row in live:
            if row.kind == kind and await self._verifier.verify((secret,), (row,), form) is not None:
                return row
        return None


class _Difference:
    """What is to be done with the secrets of one client."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.new: list[Wanted] = []
        self.changed: list[tuple[Wanted, SecretRecord]] = []
        """The same value, with another label or expiry."""
        self.doomed: list[SecretRecord] = []
        """Alive, where the file says that its time is past."""
        self.unnamed: list[SecretRecord] = []
        self.faults: list[Fault] = []

    def sort(self, wanted: Wanted, row: SecretRecord | None) -> None:
        """Put one where it belongs."""
        secret = wanted.secret
        if row is None:
            self.new.append(wanted)
        elif (row.label, row.expires_at) == (secret.label, secret.expires_at):
            return
        elif wanted.client_secret is None:
            text = "a made secret's expiry cannot be changed; one of another label would be made anew"
            self.faults.append(Fault((*secret.path, "expires_at"), text))
        else:
            self.changed.append((wanted, row))


def _is_made(wanted: Wanted, row: SecretRecord) -> bool:
    return wanted.client_secret is None and row.label == wanted.secret.label


def _steps(found: ClientRecord, difference: _Difference, rules: Rules, *, prunes: bool) -> Found:
    """Return the steps in an order that makes room first, and never takes away the newest where it must stay."""
    name = f"{found.tenant_id}/{found.client_id}"
    replaced = not rules.secrets.overlap and bool(difference.new or difference.changed)
    doomed = difference.doomed + (difference.unnamed if prunes or replaced else [])
    early: list[Step] = []
    late: list[Step] = []
    for row in doomed:
        is_last = rules.secrets.newest_stays and row == found.secrets[0]
        call = None if replaced else partial(_remove, client=found, secret_id=row.secret_id)
        path = (*difference.path, "secrets")
        changes = (Change("label", row.label, None),)
        step = Step(act="delete", noun="secret", name=f"{name} {row.secret_id}", path=path, changes=changes, call=call)
        (late if is_last else early).append(step)
    changes_of = [_change_step(name, found, *one, rules) for one in difference.changed]
    creations = [_create_step(name, found, wanted) for wanted in difference.new]
    return [*early, *changes_of, *creations, *late], difference.faults


def _create_step(name: str, found: ClientRecord, wanted: Wanted) -> Step:
    secret = wanted.secret
    changes = [Change("from", None, describe_reference(secret))]
    changes += [Change("label", None, secret.label)] if secret.label else []
    changes += [Change("expires_at", None, _moment(secret.expires_at))] if secret.expires_at is not None else []
    call = partial(_give, client=found, wanted=wanted)
    return Step(act="create", noun="secret", name=name, path=secret.path, changes=tuple(changes), call=call)


def _change_step(name: str, found: ClientRecord, wanted: Wanted, row: SecretRecord, rules: Rules) -> Step:
    secret = wanted.secret
    expiry = ("expires_at", _moment(row.expires_at), _moment(secret.expires_at))
    pairs = (("label", row.label, secret.label), expiry)
    changes = tuple(Change(*pair) for pair in pairs if pair[1] != pair[2])
    call = partial(_replace, client=found, wanted=wanted, secret_id=row.secret_id, rules=rules)
    return Step(
        act="change", noun="secret", name=f"{name} {row.secret_id}", path=secret.path, changes=changes, call=call
    )


def _moment(seconds: int | None) -> str | int | None:
    moment = None if seconds is None else show_moment(seconds)
    return moment.isoformat() if isinstance(moment, datetime) else moment


async def _give(
    administration: Administration, _: Mapping[str, Any], *, client: ClientRecord, wanted: Wanted
) -> list[MadeForClient]:
    return await give_wanted(administration, client, wanted)


async def _remove(
    administration: Administration, _: Mapping[str, Any], *, client: ClientRecord, secret_id: str
) -> list[MadeForClient]:
    await remove_secret(administration, client.tenant_id, client.client_id, secret_id)
    return []


async def _replace(
    administration: Administration,
    _: Mapping[str, Any],
    *,
    client: ClientRecord,
    wanted: Wanted,
    secret_id: str,
    rules: Rules,
) -> list[MadeForClient]:
    """No verb changes a label: the same secret is given again under the new one, and the old record goes."""
    remove = partial(remove_secret, administration, client.tenant_id, client.client_id, secret_id)
    goes_first = rules.secrets.overlap and not rules.secrets.newest_stays
    if goes_first:
        await remove()
    given = await give_wanted(administration, client, wanted)
    if rules.secrets.newest_stays:
        await remove()
    return given
