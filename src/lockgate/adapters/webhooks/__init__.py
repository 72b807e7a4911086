"""Sending webhooks: the key their secrets are kept under, signatures, addresses that may be called, and the request."""
