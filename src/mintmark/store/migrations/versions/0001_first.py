"""The first schema. Scripts are written out: what they make must not change when `tables` does."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0001"
down_revision: Final = None

NAME: Final = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Create all tables."""
    create_tenants()
    create_clients()
    create_keys()
    create_tokens()
    create_reuse_and_revocation()
    create_renewal()
    create_deployment()


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
        sa.PrimaryKeyConstraint("tenant_id", name="pk_tenant"),
        sa.UniqueConstraint("identifier", name="uq_tenant_identifier"),
    )
    only_default = sa.text("is_default")
    op.create_index(
        "uq_tenant_default",
        "tenant",
        ["is_default"],
        unique=True,
        sqlite_where=only_default,
        postgresql_where=only_default,
    )
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
    """Create `client` and `client_secret`."""
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
        sa.PrimaryKeyConstraint("tenant_id", "client_id", name="pk_client"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"], name="fk_client_tenant", ondelete="CASCADE"),
    )
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
        sa.PrimaryKeyConstraint("tenant_id", "client_id", "secret_id", name="pk_client_secret"),
        sa.ForeignKeyConstraint(
            ["tenant_id", "client_id"],
            ["client.tenant_id", "client.client_id"],
            name="fk_client_secret_client",
            ondelete="CASCADE",
        ),
    )


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
    op.create_index("ix_token_expires_at", "token", ["expires_at"])
    has_family = sa.text("family IS NOT NULL")
    op.create_index("ix_token_family", "token", ["family"], sqlite_where=has_family, postgresql_where=has_family)


def create_reuse_and_revocation() -> None:
    """Create `reuse_slot` and `revoked_jwt`."""
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
        sa.ForeignKeyConstraint(["digest"], ["token.digest"], name="fk_reuse_slot_token", ondelete="CASCADE"),
        sa.UniqueConstraint("digest", name="uq_reuse_slot_digest"),
    )
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
    """Create `deployment_fact` and `revision`, which has one row for ever."""
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
        sa.PrimaryKeyConstraint("one", name="pk_revision"),
        sa.CheckConstraint("one = 1", name=op.f("ck_revision_single_row")),
    )
    op.bulk_insert(revisions, [{"one": 1, "number": 0}])
