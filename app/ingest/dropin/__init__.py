"""The APIs of services that people move from: their senders keep their paths, bodies and keys, only the host changes."""
