"""Schemes that no profile can say: Amazon SNS and Twilio. Only shipped profiles name them."""
