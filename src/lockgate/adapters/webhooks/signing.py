"""What a receiver proves a delivery by: MLflow's headers, and those of the Standard Webhooks convention beside them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

_STANDARD_PREFIX = "whsec_"


def headers(delivery: str, timestamp: int, body: bytes, secret: str | None) -> dict[str, str]:
    """The headers of one attempt. Without a secret there is no signature.

    MLflow signs with the secret's own bytes. The Standard Webhooks convention does so with the bytes that a secret
    written `whsec_…` stands for, and else with the same.
    """
    told = {
        "Content-Type": "application/json",
        "X-MLflow-Delivery-Id": delivery,
        "X-MLflow-Timestamp": str(timestamp),
        "webhook-id": delivery,
        "webhook-timestamp": str(timestamp),
    }
    if not secret:
        return told
    signed = f"{delivery}.{timestamp}.".encode() + body
    return told | {
        "X-MLflow-Signature": signature(secret.encode(), signed),
        "webhook-signature": signature(_standard_key(secret), signed),
    }


def signature(key: bytes, signed: bytes) -> str:
    """Version 1: HMAC-SHA256 in base64."""
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def _standard_key(secret: str) -> bytes:
    if secret.startswith(_STANDARD_PREFIX):
        try:
            return base64.b64decode(secret.removeprefix(_STANDARD_PREFIX) + "==")
        except (binascii.Error, ValueError):
            pass  # it only looks like one
    return secret.encode()
