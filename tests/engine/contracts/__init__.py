"""The contracts of the ports: the same cases on the fakes and on the real adapters."""
