"""A dialect file such as a user writes for a system that nobody here has heard of."""

SIXTH = """
dialect = "sixth"
title = "An invented system"

[wire]
content_type = "application/vnd.sixth+json"
headers = { "X-Sixth" = "yes" }
presentation = "Token token=<token>;v=2"

[wire.endpoints]
token = "/v3/session/open"

[wire.request]
body = ["json"]
refused_in_query = ["pass"]
parameters = [
  { canonical = "grant_type", at = ["query"], wire = "kind" },
  { canonical = "client_id", at = ["body"], wire = "user" },
  { canonical = "client_secret", at = ["body"], wire = "pass" },
  { canonical = "tenant_identifier", at = ["query", "body"], wire = "org", required_for = ["client_credentials"] },
  { canonical = "scope", at = ["body"], wire = "rights", optional = true },
]

[wire.success]
status = 201
constant = { ok = true }
envelope = ["data", "session"]
members = [
  { canonical = "expires_in", wire = "ttl", codec = "seconds" },
  { canonical = "access_token", wire = "key", codec = "token" },
  { canonical = "scope", wire = "rights", codec = "string", optional = true },
]

[wire.errors]
description = "why"
told_by = ["fault"]

[[wire.errors.rows]]
reasons = ["invalid_request"]
reads_as = "invalid_request"
status = 422
body = { ok = false, fault = 1 }
describe = true

[[wire.errors.rows]]
reasons = ["invalid_client"]
reads_as = "invalid_client"
status = 403
body = { ok = false, fault = 2 }

[[wire.errors.rows]]
reasons = ["scope_not_allowed"]
reads_as = "invalid_scope"
status = 403
body = { ok = false, fault = 3 }

[[wire.errors.rows]]
reasons = ["server_error"]
reads_as = "server_error"
status = 500
body = { ok = false, fault = 9 }

[rules]
grant_types = ["client_credentials"]
"""
