"""Looking after the work itself: jobs, dead letters, pausing and resuming."""
