"""Checks of our own: what Tocsin asks by itself, for services that nothing else watches."""
