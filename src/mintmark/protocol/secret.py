"""A text that must not be seen: its `repr`, `str` and format are masked, so a log or a traceback cannot leak it."""

from __future__ import annotations

from typing import Final

MASK: Final = "Secret(***)"


class Secret:
    """Carries a secret or a token. `reveal()` is the only way to the text; equality is refused on purpose."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text itself. Call it only where the text is hashed, compared, sealed or put on the wire."""
        return self._text

    def encoded(self) -> bytes:
        """Return the text as UTF-8 octets, the form that is hashed and compared."""
        return self._text.encode("utf-8", "surrogatepass")

    def __repr__(self) -> str:
        return MASK

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return MASK

    def __eq__(self, other: object) -> bool:
        raise TypeError("compare secrets with authentication.comparison, in constant time")

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> str:
        raise TypeError("a secret is not pickled")
