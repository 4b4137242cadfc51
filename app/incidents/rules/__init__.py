"""Pure decisions about alerts and incidents: no I/O, no clock, values in and values out."""
