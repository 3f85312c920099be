"""A store on PostgreSQL: what is that database's alone. Its driver is an extra."""
