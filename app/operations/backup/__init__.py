"""Backups: one consistent dump with a manifest that says what must be in it, and a restore that checks that it is."""
