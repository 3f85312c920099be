"""The facts of the deployment, and the number that tells every process that a registration has changed."""

from __future__ import annotations

import secrets
from functools import partial
from typing import Final

from sqlalchemy import Connection, bindparam, delete, insert, select

from mintmark.store.prepared import Prepared
from mintmark.store.reading import PointRead, Reader
from mintmark.store.session import Bell
from mintmark.store.tables import DEPLOYMENT_FACT, REVISION
from mintmark.store.writing import Shown, Subject, Writing

READ_REVISIONS: Final = Prepared(select(REVISION.c.number, REVISION.c.of_issuers))
GENERATION_BITS: Final = 62
FIND_FACT: Final = select(DEPLOYMENT_FACT.c.value).where(DEPLOYMENT_FACT.c.name == bindparam("of_name"))
REMOVE_FACT: Final = delete(DEPLOYMENT_FACT).where(DEPLOYMENT_FACT.c.name == bindparam("of_name"))
ADD_FACT: Final = insert(DEPLOYMENT_FACT)


class SqlDeployment:
    """Implements `interface.DeploymentStore`."""

    def __init__(self, reader: Reader, writing: Writing, bell: Bell, watch: Reader) -> None:
        self._reader = reader
        self._writing = writing
        self._bell = bell
        self._watch = watch

    async def find_fact(self, name: str) -> str | None:
        """Return a fact, or None. Raises: StoreUnavailable."""
        return await self._reader.run(read_fact, name)

    async def put_fact(self, name: str, value: str) -> None:
        """Write a fact. Raises: StoreUnavailable."""
        await self._writing.record(partial(write_fact, name=name, value=value), [about(name)])

    async def put_fact_if_absent(self, name: str, value: str) -> str:
        """Write a fact unless it is there; return what stands. Raises: StoreUnavailable."""
        return await self._writing.run(partial(write_fact_if_absent, name=name, value=value))

    async def revision(self) -> int:
        """Return the number that grows with every registered change. Raises: StoreUnavailable."""
        return (await self.revisions())[0]

    async def revisions(self) -> tuple[int, int]:
        """Return the revision, and what it was at the last change of a tenant or key. Raises: StoreUnavailable."""
        return await self._reader.find(REVISIONS, None)

    async def look(self) -> tuple[int, int]:
        """Return the revisions, soon or not at all. Raises: StoreUnavailable."""
        return await self._watch.run(read_revisions)

    def sign_of_change(self) -> bytes:
        """Return what is another after every registered change, without a read."""
        return self._bell.heard()


def about(name: str) -> Subject:
    """Return a fact as what a change is about. Its value may be a seal: the audit log hears only that it is there."""
    return Subject("deployment", None, name, partial(show_fact, name=name))


def show_fact(connection: Connection, *, name: str) -> Shown | None:
    """Return what the audit log says of a fact, or None. Raises: DBAPIError."""
    return None if read_fact(connection, name) is None else {"name": name}


def new_generation() -> int:
    """Return a generation that no tenant or client ever had, whatever backup the database was restored from."""
    return secrets.randbits(GENERATION_BITS)


def read_revisions(connection: Connection) -> tuple[int, int]:
    """Return the revision, and what it was at the last change of a tenant or key. Raises: DBAPIError."""
    number, of_issuers = READ_REVISIONS.rows(connection)[0]
    return int(number), int(of_issuers)


REVISIONS: Final = PointRead(
    lambda connection, _: read_revisions(connection),
    lambda connection, _: {None: read_revisions(connection)},
)
"""Who asks at the same time has the same answer."""


def read_fact(connection: Connection, name: str) -> str | None:
    """Return a fact, or None. Raises: DBAPIError."""
    value: str | None = connection.execute(FIND_FACT, {"of_name": name}).scalar_one_or_none()
    return value


def write_fact(connection: Connection, *, name: str, value: str) -> None:
    """Put the fact in the place of an earlier one. Raises: DBAPIError."""
    connection.execute(REMOVE_FACT, {"of_name": name})
    connection.execute(ADD_FACT, {"name": name, "value": value})


def write_fact_if_absent(connection: Connection, *, name: str, value: str) -> str:
    """Insert the fact unless it is there; return what stands. Raises: DBAPIError.

    Only one at a time is here, so nothing comes between the look and the write.
    """
    standing = read_fact(connection, name)
    if standing is not None:
        return standing
    connection.execute(ADD_FACT, {"name": name, "value": value})
    return value
