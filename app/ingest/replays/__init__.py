"""Trying deliveries that came to nothing again: many by one filter, at a pace that fresh ones do not feel."""
