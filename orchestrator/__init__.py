"""deployctl: releases and rolls back model services on Docker, without losing a request."""

__version__ = "0.2.0"
