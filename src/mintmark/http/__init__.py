"""The only package that knows ASGI and the HTTP server: sockets and limits, and from host and path to an endpoint."""
