"""What is counted of the listener."""

from __future__ import annotations

from app.observability.metrics import counter, gauge, histogram

MESSAGES = counter(
    "tocsin_smtp_messages_total", "Mails that were sent to the listener, by what became of them.", ("outcome",)
)
RECIPIENTS = counter(
    "tocsin_smtp_recipients_total", "Recipients that senders named, by what they were answered.", ("outcome",)
)
REFUSED = counter("tocsin_smtp_connections_refused_total", "Connections that were turned away, by reason.", ("reason",))
CONNECTIONS = gauge("tocsin_smtp_connections", "Open connections of the listener.", ())
SECONDS = histogram("tocsin_smtp_mail_seconds", "Seconds from DATA to its answer.", ())
