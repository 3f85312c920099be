"""How a system spells the token request and its answers: one TOML file a system, four pure functions from it."""
