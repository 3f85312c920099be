"""The vocabulary of the whole program: messages, errors, names and grammar. No I/O, no clock, no randomness."""
