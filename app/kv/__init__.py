"""Redis or Valkey: hints and caches, never truth."""
