"""Every query of the ingest domain."""
