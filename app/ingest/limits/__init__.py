"""Limits as people set them: an operator a tenant's, a tenant those of its own sources, lower than its own."""
