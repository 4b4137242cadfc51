"""What can go wrong with an outgoing call.

OutboundError           ``sent`` says whether the peer may have seen the request
├── OutboundTimeout     no answer in time
├── ResponseTooLarge    the answer is over the cap; it was sent
└── EgressRefused       the guard said no; never sent
"""

from __future__ import annotations

from app.core.errors import Invalid, TocsinError


class OutboundError(TocsinError):
    """The call failed.

    Attributes:
        sent: False: the peer certainly did not get the request. True: it may have, so the outcome is unknown.
    """

    code = "outbound.failed"
    title = "The outgoing call failed"

    def __init__(self, detail: str = "", *, sent: bool = False, **context: object) -> None:
        super().__init__(detail, **context)
        self.sent = sent


class OutboundTimeout(OutboundError):
    """No answer within the caller's time."""

    code = "outbound.timeout"
    title = "The outgoing call took too long"


class ResponseTooLarge(OutboundError):
    """The answer is over the caller's cap; what was read is thrown away."""

    code = "outbound.response_too_large"
    title = "The answer to the outgoing call is too large"


class EgressRefused(OutboundError, Invalid):
    """The URL, or an address behind it, may not be reached from here."""

    code = "outbound.egress_refused"
    title = "This address may not be called"
    hint = "Use a public http(s) address, or let the operator add the network to TOCSIN_SECURITY__EGRESS_ALLOW."
