"""The grammar of scope: space-separated, case-sensitive scope-tokens.

RFC: 6749 section 3.3.
"""

from __future__ import annotations

import re
from typing import Final

SCOPE_TOKEN: Final = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+")
SCOPE: Final = re.compile(rf"{SCOPE_TOKEN.pattern}(?: {SCOPE_TOKEN.pattern})*")


def parse_scope(text: str) -> tuple[str, ...] | None:
    """Split a scope value into its scope-tokens, in the order given, each once.

    Returns None when the text breaks the grammar `scope-token *( SP scope-token )`.
    RFC: 6749 section 3.3.
    """
    if SCOPE.fullmatch(text) is None:
        return None
    return tuple(dict.fromkeys(text.split(" ")))


def is_scope_token(text: str) -> bool:
    """Tell whether a text is a single scope-token. RFC: 6749 section 3.3."""
    return SCOPE_TOKEN.fullmatch(text) is not None


def format_scope(scope_tokens: tuple[str, ...]) -> str:
    """Join scope-tokens with single spaces. RFC: 6749 section 3.3."""
    return " ".join(scope_tokens)
