"""The soak: a whole deployment under load while its parts are broken, and laws over all that it answered."""
