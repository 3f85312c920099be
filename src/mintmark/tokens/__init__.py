"""Making tokens and keeping what must be kept of them. Minting is pure: clock, randomness and key are arguments."""
