"""The tables, for SQLite and PostgreSQL alike. How they come to be in a database is `migrations`' business.

JSON stands in TEXT columns and is read and written by the store's own code, so no database needs a JSON type.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

METADATA: Final = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

# "By id" means by octets. SQLite does so by itself; PostgreSQL has to be told.
NAME: Final = Text().with_variant(Text(collation="C"), "postgresql")

TENANT: Final = Table(
    "tenant",
    METADATA,
    Column("tenant_id", NAME, nullable=False),
    Column("dialect", Text, nullable=False),
    Column("issuer", Text, nullable=False),
    Column("identifier", Text),
    Column("is_default", Boolean, nullable=False),
    Column("is_suspended", Boolean, nullable=False),
    Column("token_rules", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("title", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("is_administrative", Boolean, nullable=False),
    Column("is_msp", Boolean, nullable=False),
    Column("msp_id", NAME),
    Column("allows_registration", Boolean, nullable=False),
    Column("version", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant_id"),
    ForeignKeyConstraint(["msp_id"], ["tenant.tenant_id"]),
    UniqueConstraint("identifier"),
    Index(None, "issuer"),
)

# Only rows with the flag are in this index, so there is at most one.
Index(
    "uq_tenant_default",
    TENANT.c.is_default,
    unique=True,
    sqlite_where=text("is_default"),
    postgresql_where=text("is_default"),
)
Index(
    "uq_tenant_administrative",
    TENANT.c.is_administrative,
    unique=True,
    sqlite_where=text("is_administrative"),
    postgresql_where=text("is_administrative"),
)
Index(
    "ix_tenant_msp_id",
    TENANT.c.msp_id,
    sqlite_where=text("msp_id IS NOT NULL"),
    postgresql_where=text("msp_id IS NOT NULL"),
)
# Customers that have a name have one of their own among their msp's.
Index(
    "uq_tenant_customer_title",
    TENANT.c.msp_id,
    TENANT.c.title,
    unique=True,
    sqlite_where=text("msp_id IS NOT NULL AND title <> ''"),
    postgresql_where=text("msp_id IS NOT NULL AND title <> ''"),
)

TENANT_HOST: Final = Table(
    "tenant_host",
    METADATA,
    Column("host", NAME, nullable=False),
    Column("tenant_id", NAME, nullable=False),
    Column("position", Integer, nullable=False),
    PrimaryKeyConstraint("host"),
    ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"], ondelete="CASCADE"),
    Index(None, "tenant_id"),
)

CLIENT: Final = Table(
    "client",
    METADATA,
    Column("tenant_id", NAME, nullable=False),
    Column("client_id", NAME, nullable=False),
    Column("client_name", Text, nullable=False),
    Column("is_disabled", Boolean, nullable=False),
    Column("grant_types", Text, nullable=False),
    Column("authentication_methods", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("audience", Text, nullable=False),
    Column("token_rules", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("resources", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("all_sites", Boolean, nullable=False),
    Column("sites", Text, nullable=False),
    Column("all_customers", Boolean, nullable=False),
    Column("customers", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant_id", "client_id"),
    ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"], ondelete="CASCADE"),
)

CLIENT_SECRET: Final = Table(
    "client_secret",
    METADATA,
    Column("secret_id", NAME, nullable=False),
    Column("tenant_id", NAME, nullable=False),
    Column("client_id", NAME, nullable=False),
    Column("kind", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("last_used_at", BigInteger),
    # Which of a client's secrets of one second is the newer.
    Column("number", Integer, nullable=False),
    PrimaryKeyConstraint("tenant_id", "client_id", "secret_id"),
    ForeignKeyConstraint(["tenant_id", "client_id"], ["client.tenant_id", "client.client_id"], ondelete="CASCADE"),
)

# Most secrets never expire, and cost nothing here.
Index(
    "ix_client_secret_expires_at",
    CLIENT_SECRET.c.expires_at,
    CLIENT_SECRET.c.tenant_id,
    CLIENT_SECRET.c.client_id,
    CLIENT_SECRET.c.secret_id,
    sqlite_where=text("expires_at IS NOT NULL"),
    postgresql_where=text("expires_at IS NOT NULL"),
)

Index(
    "ix_client_secret_tenant_id_expires_at",
    CLIENT_SECRET.c.tenant_id,
    CLIENT_SECRET.c.expires_at,
    CLIENT_SECRET.c.client_id,
    CLIENT_SECRET.c.secret_id,
    sqlite_where=text("expires_at IS NOT NULL"),
    postgresql_where=text("expires_at IS NOT NULL"),
)

SIGNING_KEY: Final = Table(
    "signing_key",
    METADATA,
    Column("kid", NAME, nullable=False),
    Column("tenant_id", NAME, nullable=False),
    Column("use", Text, nullable=False),
    Column("alg", Text, nullable=False),
    Column("active_from", BigInteger, nullable=False),
    Column("public_jwk", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
    PrimaryKeyConstraint("tenant_id", "kid"),
    ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"], ondelete="CASCADE"),
)

SITE: Final = Table(
    "site",
    METADATA,
    Column("tenant_id", NAME, nullable=False),
    Column("site_id", NAME, nullable=False),
    Column("name", NAME, nullable=False),
    Column("region", Text, nullable=False),
    Column("time_zone", Text, nullable=False),
    Column("scenario", Text, nullable=False),
    Column("site_type", Integer, nullable=False),
    Column("details", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("version", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant_id", "site_id"),
    UniqueConstraint("tenant_id", "name"),
    ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"], ondelete="CASCADE"),
)

# No foreign key to the client: it would cost every token a look-up, and removing a client an index here.
# On PostgreSQL it lies in parts by expiry, each with the key and the indexes: see `postgresql.partitions`.
# The columns stand in the order of `TokenRecord`'s fields.
TOKEN: Final = Table(
    "token",
    METADATA,
    Column("digest", LargeBinary, nullable=False),
    Column("tenant_id", NAME, nullable=False),
    Column("client_id", NAME, nullable=False),
    Column("kind", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("audience", Text, nullable=False),
    Column("issued_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("tenant_generation", BigInteger, nullable=False),
    Column("client_generation", BigInteger, nullable=False),
    Column("family", LargeBinary),
    Column("used_at", BigInteger),
    PrimaryKeyConstraint("digest"),
    Index(None, "expires_at"),
)

# A token without a family, as most are, costs nothing here.
Index(
    "ix_token_family",
    TOKEN.c.family,
    sqlite_where=text("family IS NOT NULL"),
    postgresql_where=text("family IS NOT NULL"),
)

# The foreign key, on PostgreSQL a trigger, holds that no slot ever shows a token that has been deleted.
REUSE_SLOT: Final = Table(
    "reuse_slot",
    METADATA,
    Column("tenant_id", NAME, nullable=False),
    Column("client_id", NAME, nullable=False),
    Column("scope", NAME, nullable=False),
    Column("audience", NAME, nullable=False),
    Column("tenant_generation", BigInteger, nullable=False),
    Column("client_generation", BigInteger, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant_id", "client_id", "scope", "audience", "tenant_generation", "client_generation"),
    ForeignKeyConstraint(["digest"], ["token.digest"], ondelete="CASCADE"),
    UniqueConstraint("digest"),
)

# The live JWT of a slot, where tokens are renewed: what is to be revoked when the next one comes.
JWT_SLOT: Final = Table(
    "jwt_slot",
    METADATA,
    Column("tenant_id", NAME, nullable=False),
    Column("client_id", NAME, nullable=False),
    Column("scope", NAME, nullable=False),
    Column("audience", NAME, nullable=False),
    Column("tenant_generation", BigInteger, nullable=False),
    Column("client_generation", BigInteger, nullable=False),
    Column("jti", NAME, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant_id", "client_id", "scope", "audience", "tenant_generation", "client_generation"),
    Index(None, "expires_at"),
)

REVOKED_JWT: Final = Table(
    "revoked_jwt",
    METADATA,
    Column("tenant_id", NAME, nullable=False),
    Column("jti", NAME, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant_id", "jti"),
    Index(None, "expires_at"),
)

INITIAL_ACCESS_TOKEN: Final = Table(
    "initial_access_token",
    METADATA,
    Column("tenant_id", NAME, nullable=False),
    Column("token_id", NAME, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("label", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("uses_left", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant_id", "token_id"),
    UniqueConstraint("digest"),
    ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"], ondelete="CASCADE"),
    Index(None, "expires_at"),
)

REGISTRATION: Final = Table(
    "registration",
    METADATA,
    Column("tenant_id", NAME, nullable=False),
    Column("client_id", NAME, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("previous", LargeBinary),
    Column("scope", Text, nullable=False),
    PrimaryKeyConstraint("tenant_id", "client_id"),
    ForeignKeyConstraint(["tenant_id", "client_id"], ["client.tenant_id", "client.client_id"], ondelete="CASCADE"),
)

IDEMPOTENCY: Final = Table(
    "idempotency",
    METADATA,
    Column("actor", NAME, nullable=False),
    Column("key", NAME, nullable=False),
    Column("digest", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("actor", "key"),
    Index(None, "expires_at"),
)

DEPLOYMENT_FACT: Final = Table(
    "deployment_fact",
    METADATA,
    Column("name", NAME, nullable=False),
    Column("value", Text, nullable=False),
    PrimaryKeyConstraint("name"),
)

# No foreign key to a tenant: the log outlives what it tells of.
# `body`, which may be long, stands last: who needs the hashes alone then reads no further.
AUDIT_RECORD: Final = Table(
    "audit_record",
    METADATA,
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), nullable=False, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("tenant_id", NAME),
    Column("subject", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("token", Text, nullable=False),
    Column("correlation_id", Text, nullable=False),
    Column("body_digest", LargeBinary, nullable=False),
    Column("previous", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("body", Text, nullable=False),
    PrimaryKeyConstraint("seq"),
    Index(None, "tenant_id", "seq"),
    Index(None, "tenant_id", "kind", "seq"),
    Index(None, "kind", "seq"),
)

AUDIT_CHECKPOINT: Final = Table(
    "audit_checkpoint",
    METADATA,
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), nullable=False, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("is_anchor", Boolean, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    PrimaryKeyConstraint("seq"),
)

REVISION: Final = Table(
    "revision",
    METADATA,
    Column("one", Integer, nullable=False, autoincrement=False),
    Column("number", BigInteger, nullable=False),
    # The number at the last change of a tenant or key: few change those, and every process then reads all tenants.
    Column("of_issuers", BigInteger, nullable=False),
    PrimaryKeyConstraint("one"),
    CheckConstraint("one = 1", name="single_row"),
)

# Which clients the last revisions changed or removed: one that lists none may have changed any. A row outlives its
# client, so it refers to none.
CLIENT_CHANGE: Final = Table(
    "client_change",
    METADATA,
    Column("revision", BigInteger, nullable=False),
    Column("tenant_id", NAME, nullable=False),
    Column("client_id", NAME, nullable=False),
    PrimaryKeyConstraint("revision", "tenant_id", "client_id"),
)
