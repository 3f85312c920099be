"""Traces, for who sets `otlp_endpoint`: imported only then, since OpenTelemetry is an extra of its own."""
