"""What a proven client may have: the rules of its system, tenant and registration, and one file a grant type."""
