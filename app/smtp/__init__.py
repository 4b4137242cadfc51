"""Receiving mail for email sources: a small SMTP server that takes nothing it has not committed."""
