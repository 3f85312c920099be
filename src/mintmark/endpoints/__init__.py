"""One file an RFC endpoint, each over HttpRequest and HttpResponse: nothing here knows ASGI or a web framework."""
