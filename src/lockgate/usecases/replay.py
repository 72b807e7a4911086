"""Judges a verdict of the record again, on the evidence and by the policy of that day: it must come out the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from lockgate.domain.audit import Linked
from lockgate.domain.canonical import digest_of
from lockgate.domain.errors import BadInput, NotFound
from lockgate.domain.replay import Replayed, judged_again, recalled
from lockgate.usecases.ports import Ports, Recorded, Work

LONGEST_NUMBER = 18  # digits


def replay_entry(ports: Ports, written: str) -> Replayed:
    """Judge the verdict of the entry again that people name as `model:3#12`, its chain and its number there.

    Raises as `replay`, NotFound where there is no such entry, and BadInput for what names none.
    """
    chain, _, number = written.strip().rpartition("#")
    if not chain or not number.isascii() or not number.isdigit() or len(number) > LONGEST_NUMBER:
        raise BadInput(
            f"{written[:80]!r} names no entry.", hint="Write it as `lockgate audit list` shows it: model:3#12."
        )
    with ports.store.reading() as work:
        found = [each for each in work.tree.behind(chain, int(number) - 1, 1) if each.number == int(number)]
    if not found:
        raise NotFound(f"There is no entry {chain}#{int(number)}.", hint="lockgate audit list shows the latest.")
    if not found[0].text:
        raise NotFound(
            f"The text of the entry {chain}#{int(number)} was removed under the rule of retention.",
            hint="Look for it in an export of the record, or in a backup.",
        )
    _as_written(found[0])
    return replay(ports, Recorded(found[0], json.loads(found[0].text)))


def replay(ports: Ports, entry: Recorded) -> Replayed:
    """Judge the entry's verdict again.

    Raises BadInput for an entry that tells of no verdict, and for an entry, evidence or a policy that was changed after
    it was written; NotFound when evidence or policy are not kept any more.
    """
    _as_written(entry.linked)
    with ports.store.reading() as work:
        return replay_in(work, entry.plain)


def replay_in(work: Work, plain: Mapping[str, Any]) -> Replayed:
    """As `replay`, in the caller's transaction, of an entry that is known to be as it was written."""
    then = recalled(plain)
    evidence = work.evidence.get(then.evidence_digest)
    if evidence is None:
        raise NotFound(
            f"The evidence {then.evidence_digest} of {then.ref} to {then.stage} is not kept any more.",
            hint="Look for it in an export of the record, or in a backup.",
        )
    policy = work.policies.of_digest(then.policy_digest)
    if policy is None:
        raise NotFound(
            f"The policy {then.policy_digest}, by which {then.ref} was judged, is not kept here.",
            hint="If it was the built-in policy of an earlier release, judge again with that release.",
        )
    return judged_again(then, evidence, policy)


def _as_written(linked: Linked) -> None:
    if digest_of(linked.text.encode("utf-8", "surrogatepass")) != linked.hash:
        raise BadInput(
            f"Entry {linked.number} of {linked.chain} was changed after it was written.",
            hint="Find every place that does not hold: lockgate audit verify",
        )
