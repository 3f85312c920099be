"""The benchmark: Mintmark beside its limits and a peer, measured in turn on one machine."""
