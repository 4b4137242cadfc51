"""Pure decisions of ingest: how stranger's values become ours, and what of a request is kept."""
