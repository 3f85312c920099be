"""Client authentication: who is asking, proven. One file a method; the secrets and the master key live here too."""
