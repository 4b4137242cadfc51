"""Time travel: what other settings would have made of the deliveries of the past, before they are saved."""
