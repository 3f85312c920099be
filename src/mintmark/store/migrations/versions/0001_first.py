"""The first schema. Scripts are written out: what they make must not change when `tables` does."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0001"
down_revision: Final = None
oldest_program: Final = "0001"

NAME: Final = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

TOKEN_PARTS: Final = """
    CREATE TABLE token (
        digest BYTEA NOT NULL,
        tenant_id TEXT COLLATE "C" NOT NULL,
        client_id TEXT COLLATE "C" NOT NULL,
        kind TEXT NOT NULL,
        scope TEXT NOT NULL,
        audience TEXT NOT NULL,
        issued_at BIGINT NOT NULL,
        expires_at BIGINT NOT NULL,
        tenant_generation BIGINT NOT NULL,
        client_generation BIGINT NOT NULL,
        family BYTEA,
        used_at BIGINT
    ) PARTITION BY LIST ((
        CASE
            WHEN expires_at - issued_at BETWEEN 1 AND 43200 THEN expires_at / 18000 % 4
            WHEN expires_at - issued_at BETWEEN 1 AND 2678400 THEN 4 + expires_at / 1036800 % 4
        END
    ));
"""
"""Two rings of four parts: of five hours each for tokens of up to twelve hours, of twelve days for up to 31 days.

What the part of an hour holds has expired long before the ring comes to that part again: then it is emptied whole.
See `postgresql.partitions`.
"""
RING: Final = tuple(f"token_{number}" for number in range(8))
REST: Final = "token_rest"
"""What lives longer, and what was never alive."""
CLEAR_SLOT: Final = """
    CREATE FUNCTION clear_reuse_slot() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN DELETE FROM reuse_slot WHERE digest = OLD.digest; RETURN NULL; END';
    CREATE TRIGGER clear_reuse_slot AFTER DELETE ON token FOR EACH ROW WHEN (OLD.kind = 'access')
        EXECUTE FUNCTION clear_reuse_slot();
"""
"""What the foreign key does in SQLite. PostgreSQL empties no table that a key refers to."""


def upgrade() -> None:
    """Create all tables."""
    create_tenants()
    create_clients()
    create_client_secrets()
    create_keys()
    create_tokens()
    create_reuse_and_revocation()
    create_renewal()
    create_deployment()
    create_audit_log()
    create_idempotency()
    create_registration()
    create_sites()


def create_tenants() -> None:
    """Create `tenant` and `tenant_host`."""
    op.create_table(
        "tenant",
        sa.Column("tenant_id", NAME, nullable=False),
        sa.Column("dialect", sa.Text, nullable=False),
        sa.Column("issuer", sa.Text, nullable=False),
        sa.Column("identifier", sa.Text),
        sa.Column("is_default", sa.Boolean, nullable=False),
        sa.Column("is_suspended", sa.Boolean, nullable=False),
        sa.Column("token_rules", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("is_administrative", sa.Boolean, nullable=False),
        sa.Column("is_msp", sa.Boolean, nullable=False),
        sa.Column("msp_id", NAME),
        sa.Column("allows_registration", sa.Boolean, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", name="pk_tenant"),
        sa.ForeignKeyConstraint(["msp_id"], ["tenant.tenant_id"], name="fk_tenant_tenant"),
        sa.UniqueConstraint("identifier", name="uq_tenant_identifier"),
    )
    op.create_index("ix_tenant_issuer", "tenant", ["issuer"])
    create_partial_index("uq_tenant_default", "tenant", ["is_default"], "is_default", unique=True)
    create_partial_index("uq_tenant_administrative", "tenant", ["is_administrative"], "is_administrative", unique=True)
    create_partial_index("ix_tenant_msp_id", "tenant", ["msp_id"], "msp_id IS NOT NULL")
    named = "msp_id IS NOT NULL AND title <> ''"
    create_partial_index("uq_tenant_customer_title", "tenant", ["msp_id", "title"], named, unique=True)
    op.create_table(
        "tenant_host",
        sa.Column("host", NAME, nullable=False),
        sa.Column("tenant_id", NAME, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("host", name="pk_tenant_host"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"], name="fk_tenant_host_tenant", ondelete="CASCADE"),
    )
    op.create_index("ix_tenant_host_tenant_id", "tenant_host", ["tenant_id"])


def create_clients() -> None:
    """Create `client`."""
    op.create_table(
        "client",
        sa.Column("tenant_id", NAME, nullable=False),
        sa.Column("client_id", NAME, nullable=False),
        sa.Column("client_name", sa.Text, nullable=False),
        sa.Column("is_disabled", sa.Boolean, nullable=False),
        sa.Column("grant_types", sa.Text, nullable=False),
        sa.Column("authentication_methods", sa.Text, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("audience", sa.Text, nullable=False),
        sa.Column("token_rules", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("resources", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("all_sites", sa.Boolean, nullable=False),
        sa.Column("sites", sa.Text, nullable=False),
        sa.Column("all_customers", sa.Boolean, nullable=False),
        sa.Column("customers", sa.Text, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "client_id", name="pk_client"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"], name="fk_client_tenant", ondelete="CASCADE"),
    )


def create_client_secrets() -> None:
    """Create `client_secret`."""
    op.create_table(
        "client_secret",
        sa.Column("secret_id", NAME, nullable=False),
        sa.Column("tenant_id", NAME, nullable=False),
        sa.Column("client_id", NAME, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger),
        sa.Column("last_used_at", sa.BigInteger),
        sa.Column("number", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "client_id", "secret_id", name="pk_client_secret"),
        sa.ForeignKeyConstraint(
            ["tenant_id", "client_id"],
            ["client.tenant_id", "client.client_id"],
            name="fk_client_secret_client",
            ondelete="CASCADE",
        ),
    )
    columns = ["expires_at", "tenant_id", "client_id", "secret_id"]
    create_partial_index("ix_client_secret_expires_at", "client_secret", columns, "expires_at IS NOT NULL")
    columns = ["tenant_id", "expires_at", "client_id", "secret_id"]
    create_partial_index("ix_client_secret_tenant_id_expires_at", "client_secret", columns, "expires_at IS NOT NULL")


def create_keys() -> None:
    """Create `signing_key`."""
    op.create_table(
        "signing_key",
        sa.Column("kid", NAME, nullable=False),
        sa.Column("tenant_id", NAME, nullable=False),
        sa.Column("use", sa.Text, nullable=False),
        sa.Column("alg", sa.Text, nullable=False),
        sa.Column("active_from", sa.BigInteger, nullable=False),
        sa.Column("public_jwk", sa.Text, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("revoked_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("tenant_id", "kid", name="pk_signing_key"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"], name="fk_signing_key_tenant", ondelete="CASCADE"),
    )


def create_tokens() -> None:
    """Create `token`."""
    if is_postgresql():
        create_token_parts()
    else:
        create_token_table()
    op.create_index("ix_token_expires_at", "token", ["expires_at"])
    create_partial_index("ix_token_family", "token", ["family"], "family IS NOT NULL")


def is_postgresql() -> bool:
    """Tell which of the two databases this is."""
    return op.get_bind().dialect.name == "postgresql"


def create_token_parts() -> None:
    """Create `token` in parts, each with a key of its own: a key of the whole cannot be without the parting."""
    op.execute(TOKEN_PARTS)
    for number, part in enumerate(RING):
        op.execute(f"CREATE TABLE {part} PARTITION OF token FOR VALUES IN ({number})")
    op.execute(f"CREATE TABLE {REST} PARTITION OF token DEFAULT")
    for part in (*RING, REST):
        op.create_primary_key(f"pk_{part}", part, ["digest"])


def create_token_table() -> None:
    """Create `token` as one table."""
    op.create_table(
        "token",
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("tenant_id", NAME, nullable=False),
        sa.Column("client_id", NAME, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("audience", sa.Text, nullable=False),
        sa.Column("issued_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("tenant_generation", sa.BigInteger, nullable=False),
        sa.Column("client_generation", sa.BigInteger, nullable=False),
        sa.Column("family", sa.LargeBinary),
        sa.Column("used_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("digest", name="pk_token"),
    )


def create_reuse_and_revocation() -> None:
    """Create `reuse_slot` and `revoked_jwt`."""
    of_token = sa.ForeignKeyConstraint(["digest"], ["token.digest"], name="fk_reuse_slot_token", ondelete="CASCADE")
    op.create_table(
        "reuse_slot",
        sa.Column("tenant_id", NAME, nullable=False),
        sa.Column("client_id", NAME, nullable=False),
        sa.Column("scope", NAME, nullable=False),
        sa.Column("audience", NAME, nullable=False),
        sa.Column("tenant_generation", sa.BigInteger, nullable=False),
        sa.Column("client_generation", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint(
            "tenant_id",
            "client_id",
            "scope",
            "audience",
            "tenant_generation",
            "client_generation",
            name="pk_reuse_slot",
        ),
        *([] if is_postgresql() else [of_token]),
        sa.UniqueConstraint("digest", name="uq_reuse_slot_digest"),
    )
    if is_postgresql():
        op.execute(CLEAR_SLOT)
        op.create_index("ix_reuse_slot_expires_at", "reuse_slot", ["expires_at"])
    op.create_table(
        "revoked_jwt",
        sa.Column("tenant_id", NAME, nullable=False),
        sa.Column("jti", NAME, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "jti", name="pk_revoked_jwt"),
    )
    op.create_index("ix_revoked_jwt_expires_at", "revoked_jwt", ["expires_at"])


def create_renewal() -> None:
    """Create `jwt_slot`."""
    op.create_table(
        "jwt_slot",
        sa.Column("tenant_id", NAME, nullable=False),
        sa.Column("client_id", NAME, nullable=False),
        sa.Column("scope", NAME, nullable=False),
        sa.Column("audience", NAME, nullable=False),
        sa.Column("tenant_generation", sa.BigInteger, nullable=False),
        sa.Column("client_generation", sa.BigInteger, nullable=False),
        sa.Column("jti", NAME, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint(
            "tenant_id",
            "client_id",
            "scope",
            "audience",
            "tenant_generation",
            "client_generation",
            name="pk_jwt_slot",
        ),
    )
    op.create_index("ix_jwt_slot_expires_at", "jwt_slot", ["expires_at"])


def create_deployment() -> None:
    """Create `deployment_fact`, `revision`, which has one row for ever, and `client_change`."""
    op.create_table(
        "deployment_fact",
        sa.Column("name", NAME, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_deployment_fact"),
    )
    revisions = op.create_table(
        "revision",
        sa.Column("one", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("of_issuers", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("one", name="pk_revision"),
        sa.CheckConstraint("one = 1", name=op.f("ck_revision_single_row")),
    )
    op.bulk_insert(revisions, [{"one": 1, "number": 0, "of_issuers": 0}])
    op.create_table(
        "client_change",
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("tenant_id", NAME, nullable=False),
        sa.Column("client_id", NAME, nullable=False),
        sa.PrimaryKeyConstraint("revision", "tenant_id", "client_id", name="pk_client_change"),
    )


def create_audit_log() -> None:
    """Create `audit_record` and `audit_checkpoint`."""
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "audit_record",
        sa.Column("seq", number, nullable=False, autoincrement=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("tenant_id", NAME),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("token", sa.Text, nullable=False),
        sa.Column("correlation_id", sa.Text, nullable=False),
        sa.Column("body_digest", sa.LargeBinary, nullable=False),
        sa.Column("previous", sa.LargeBinary, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_audit_record"),
    )
    op.create_index("ix_audit_record_tenant_id_seq", "audit_record", ["tenant_id", "seq"])
    op.create_index("ix_audit_record_tenant_id_kind_seq", "audit_record", ["tenant_id", "kind", "seq"])
    op.create_index("ix_audit_record_kind_seq", "audit_record", ["kind", "seq"])
    op.create_table(
        "audit_checkpoint",
        sa.Column("seq", number, nullable=False, autoincrement=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column("is_anchor", sa.Boolean, nullable=False),
        sa.Column("signature", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_audit_checkpoint"),
    )


def create_registration() -> None:
    """Create `initial_access_token` and `registration`."""
    op.create_table(
        "initial_access_token",
        sa.Column("tenant_id", NAME, nullable=False),
        sa.Column("token_id", NAME, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("uses_left", sa.Integer, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "token_id", name="pk_initial_access_token"),
        sa.UniqueConstraint("digest", name="uq_initial_access_token_digest"),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenant.tenant_id"], name="fk_initial_access_token_tenant", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_initial_access_token_expires_at", "initial_access_token", ["expires_at"])
    op.create_table(
        "registration",
        sa.Column("tenant_id", NAME, nullable=False),
        sa.Column("client_id", NAME, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("previous", sa.LargeBinary),
        sa.Column("scope", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "client_id", name="pk_registration"),
        sa.ForeignKeyConstraint(
            ["tenant_id", "client_id"],
            ["client.tenant_id", "client.client_id"],
            name="fk_registration_client",
            ondelete="CASCADE",
        ),
    )


def create_idempotency() -> None:
    """Create `idempotency`."""
    op.create_table(
        "idempotency",
        sa.Column("actor", NAME, nullable=False),
        sa.Column("key", NAME, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("actor", "key", name="pk_idempotency"),
    )
    op.create_index("ix_idempotency_expires_at", "idempotency", ["expires_at"])


def create_sites() -> None:
    """Create `site`."""
    op.create_table(
        "site",
        sa.Column("tenant_id", NAME, nullable=False),
        sa.Column("site_id", NAME, nullable=False),
        sa.Column("name", NAME, nullable=False),
        sa.Column("region", sa.Text, nullable=False),
        sa.Column("time_zone", sa.Text, nullable=False),
        sa.Column("scenario", sa.Text, nullable=False),
        sa.Column("site_type", sa.Integer, nullable=False),
        sa.Column("details", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "site_id", name="pk_site"),
        sa.UniqueConstraint("tenant_id", "name", name="uq_site_tenant_id_name"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"], name="fk_site_tenant", ondelete="CASCADE"),
    )


def create_partial_index(name: str, table: str, columns: list[str], where: str, *, unique: bool = False) -> None:
    """Create an index that holds only the rows which a condition names."""
    only = sa.text(where)
    op.create_index(name, table, columns, unique=unique, sqlite_where=only, postgresql_where=only)
