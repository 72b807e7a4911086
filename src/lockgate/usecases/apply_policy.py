"""Puts a policy in force: a row with a digest, on the record."""

from __future__ import annotations

from collections.abc import Callable

from lockgate.domain.audit import Entry
from lockgate.domain.identity import Who
from lockgate.domain.policy import Policy
from lockgate.usecases.ports import Ports


def apply(ports: Ports, text: str, parse: Callable[[str | None], Policy], who: Who) -> Policy:
    """Parse the text and make it the policy in force. The same text again changes nothing.

    Raises BadInput listing every fault of the text, and changes nothing then.
    """
    policy = parse(text)
    now = ports.clock.now()
    with ports.store.writing(None) as work:
        before = work.policies.in_force()
        if before.digest == policy.digest:
            return before
        work.policies.apply(text, policy.digest, who, now)
        detail = {"level": policy.level.value}
        work.record.write(Entry("policy:applied", who, now, before=before.digest, after=policy.digest, detail=detail))
    return policy
