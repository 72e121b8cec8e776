"""deployctl: puts model services live on Docker and takes them back without losing a request."""

__version__ = "0.1.0"
