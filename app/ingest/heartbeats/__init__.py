"""Dead-man switches: what must be heard of in time, and opens an alert when it is not."""
