"""The service over HTTP: the socket, strict input, the contract of every endpoint."""
