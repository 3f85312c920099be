"""The management API: the administrator's verbs as REST, one table of operations from which everything is made."""
