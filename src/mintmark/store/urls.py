"""Which database a URL names, and how the URL is shown: it may hold a password."""

from __future__ import annotations

import re
from typing import Final

from mintmark.protocol.errors import SettingsError

EXTRA: Final = (
    "database_url: PostgreSQL needs the extra postgresql; install it with: pip install 'mintmark[postgresql]'"
)

SCHEMES: Final = ("postgresql://", "postgres://")
HOST: Final = r"(?:\[[0-9A-Fa-f:]+\]|[\w.-]*)(?::\d+)?"
PLACE: Final = rf"({HOST}(?:,{HOST})*(?:/[\w.-]*)?)(?:\?[^@]*)?"
WITH_USER: Final = re.compile(rf"\w+://([\w.~-]*)(?::[^@/?#]*)?@{PLACE}")
WITHOUT_USER: Final = re.compile(rf"\w+://(){PLACE}")
HIDDEN: Final = "postgresql://***"


def is_postgresql(url: str) -> bool:
    """Tell whether it names a PostgreSQL database."""
    return url.startswith(SCHEMES)


def show_url(url: str) -> str:
    """Return the URL without passwords: of PostgreSQL's no more than user, hosts and name; where in doubt, nothing."""
    if not is_postgresql(url):
        return url if url.startswith("sqlite:") else "***"
    found = WITH_USER.fullmatch(url) or WITHOUT_USER.fullmatch(url)
    if found is None:
        return HIDDEN
    user, place = found.groups()
    return f"postgresql://{user}@{place}" if user else f"postgresql://{place}"


def has_password(url: str) -> bool:
    """Tell whether a URL holds a password; where in doubt, it does."""
    return is_postgresql(url) and (re.search(r"://[^/@]*:[^/@]*@", url) is not None or "password=" in url)


def require_postgresql() -> None:
    """Make sure that the driver is there. Raises: SettingsError, which names the extra."""
    try:
        import psycopg  # noqa: F401, PLC0415 - an extra that may not be there
    except ImportError as error:
        raise SettingsError(EXTRA) from error
