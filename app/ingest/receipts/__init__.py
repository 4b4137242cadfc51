"""Following a delivery from the request to its last effect, and looking at those that came to nothing."""
