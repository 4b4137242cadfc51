"""Models that may write a note, one package per kind of API."""
