"""What a proven client may have: the rules of its system, its tenant and its registration, and one file a grant type."""
