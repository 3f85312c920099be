"""The administrator's verbs, each once: what the command line, and later an API and a console, present."""
