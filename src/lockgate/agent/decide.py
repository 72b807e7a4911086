"""What to do next about the endpoints of this machine: a pure function of what is committed and what is seen.

It is asked again after every action, so each answer holds only what the present facts allow. The order of a cutover
follows from the facts alone: green is told to go once all of it has loaded, blue is drained once green accepts, and the
generation is acknowledged once nobody else accepts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from lockgate.domain.serving import DesiredEndpoint, EndpointState, GroupState, Release
from lockgate.usecases.serving_ports import GroupSeen

_PORTS_TRIED = 100


@dataclass(frozen=True, slots=True)
class Bind:
    """Open the endpoint's listening socket on the first free port of `ports`."""

    endpoint: str
    host: str
    ports: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Ensure:
    """Start the workers that `release` lacks."""

    desired: DesiredEndpoint
    release: Release


@dataclass(frozen=True, slots=True)
class Go:
    """Let the committed release accept."""

    endpoint: str
    release: str


@dataclass(frozen=True, slots=True)
class Drain:
    """Let a release accept no more; `forward` when another one has taken over, `park` to keep it warm afterwards."""

    endpoint: str
    release: str
    forward: bool
    park: bool = False


@dataclass(frozen=True, slots=True)
class Rest:
    """Take back the drain of a release that is wanted warm again."""

    endpoint: str
    release: str


@dataclass(frozen=True, slots=True)
class Stop:
    """End a group that takes no traffic and that nobody wants."""

    endpoint: str
    release: str


@dataclass(frozen=True, slots=True)
class Close:
    """Give the endpoint's port back."""

    endpoint: str


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """Record that the committed release of `generation` takes the traffic alone."""

    endpoint: str
    generation: int


Action = Bind | Ensure | Go | Drain | Rest | Stop | Close | Acknowledge


def decide(
    desired: Sequence[DesiredEndpoint],
    groups: Sequence[GroupSeen],
    ports: Mapping[str, int],
    reserved: frozenset[int] = frozenset(),
    apart: frozenset[str] = frozenset(),
) -> list[Action]:
    """The actions that the facts allow now, in the order to take them.

    `ports` are the listening sockets that are open; `reserved` ports are never taken as somebody's next free one.
    `apart` are releases beside the committed one that need workers of their own, which accept nothing.
    """
    actions: list[Action] = []
    wanted = {want.endpoint.id: want for want in desired if want.endpoint.state is not EndpointState.RETIRED}
    parked = stay_warm(list(wanted.values()), groups)
    for want in wanted.values():
        mine = [group for group in groups if group.endpoint == want.endpoint.id]
        if want.endpoint.id not in ports:
            actions.append(Bind(want.endpoint.id, want.host, port_choices(want, wanted.values(), ports, reserved)))
        actions += _about(want, mine, parked, [release for release in want.beside if release.id in apart])
    for endpoint in {group.endpoint for group in groups} | ports.keys():
        if endpoint not in wanted:
            actions += _retire(endpoint, [group for group in groups if group.endpoint == endpoint], endpoint in ports)
    return actions


def port_choices(
    want: DesiredEndpoint, all_wanted: Iterable[DesiredEndpoint], ports: Mapping[str, int], reserved: frozenset[int]
) -> tuple[int, ...]:
    """The ports to try in turn: the one it had, else the preferred one, then the next ones nobody of ours needs."""
    if want.endpoint.port is not None:
        return (want.endpoint.port,)
    others = [other for other in all_wanted if other.endpoint.id != want.endpoint.id]
    held = {port for endpoint, port in ports.items() if endpoint != want.endpoint.id}
    held |= {other.endpoint.port for other in others if other.endpoint.port is not None}
    # an environment's own port is known to its clients: if a stranger holds it, a person must hear of it
    own = want.preferred_port in reserved and want.preferred_port not in held
    if want.preferred_port == 0 or own or not want.may_take_next:
        return (want.preferred_port,)
    first = () if want.preferred_port in held else (want.preferred_port,)
    kept_free = held | reserved | {other.preferred_port for other in others}
    after = range(want.preferred_port + 1, min(65536, want.preferred_port + 1 + _PORTS_TRIED))
    return (*first, *(port for port in after if port not in kept_free))


def stay_warm(wanted: Sequence[DesiredEndpoint], groups: Sequence[GroupSeen]) -> frozenset[str]:
    """The earlier releases whose workers stay, as far as their memory goes: of each endpoint the last one first.

    None is started for it: a release that has no workers any more is started again by the rollback that needs them.
    """
    there = {(group.endpoint, group.release): group for group in groups if group.wanted and group.workers}
    waiting = [
        (place, want.rule.park_memory, group)
        for want in wanted
        for place, release in enumerate(want.parked)
        if (group := there.get((want.endpoint.id, release.id))) is not None
        and release not in (want.endpoint.release, want.endpoint.candidate)
    ]
    taken, stay = 0, set()
    for _, limit, group in sorted(waiting, key=lambda one: one[0]):
        if taken + group.memory <= limit:
            taken += group.memory
            stay.add(group.release)
    return frozenset(stay)


def _about(
    want: DesiredEndpoint, groups: Sequence[GroupSeen], parked: frozenset[str], apart: Sequence[Release]
) -> list[Action]:
    endpoint = want.endpoint
    committed = endpoint.release
    candidate = endpoint.candidate if committed is None or endpoint.candidate != committed else None
    keep = {release.id for release in (committed, candidate, *apart) if release is not None}
    seen = {group.release: group for group in groups}
    actions: list[Action] = []
    for release in (committed, candidate, *apart):
        if release is not None and ((group := seen.get(release.id)) is None or group.missing or not group.wanted):
            actions.append(Ensure(want, release))
    serving = committed is not None and (group := seen.get(committed.id)) is not None and group.accepts
    if committed is not None and (group := seen.get(committed.id)) is not None:
        actions += _toward_traffic(group, groups)
    if candidate is not None and (group := seen.get(candidate.id)) is not None:
        actions += _beside(group, serving=serving)
    for release in apart:
        if release not in (committed, candidate) and (group := seen.get(release.id)) is not None:
            actions += _beside(group, serving=serving, park=True)
    for group in groups:
        if group.release not in keep:
            actions += _away(group, serving=serving, park=group.release in parked)
    alone = committed is not None and not any(group.accepts for group in groups if group.release != committed.id)
    if serving and alone and endpoint.generation > endpoint.acknowledged:
        actions.append(Acknowledge(endpoint.id, endpoint.generation))
    return actions


def _toward_traffic(group: GroupSeen, groups: Sequence[GroupSeen]) -> list[Action]:
    """The committed release goes when all of it can, or at once when nobody serves."""
    able = group.count(GroupState.READY, GroupState.DRAINING)
    others_accept = any(other.accepts for other in groups if other.release != group.release)
    if able and (group.whole or not others_accept):
        return [Go(group.endpoint, group.release)]
    return []


def _beside(group: GroupSeen, *, serving: bool, park: bool = False) -> list[Action]:
    """A candidate is warm and silent, and so is a release that answers only what others pass on to it."""
    if group.accepts:
        return [Drain(group.endpoint, group.release, forward=True, park=park)] if serving else []
    if group.count(GroupState.DRAINING):
        return [Rest(group.endpoint, group.release)]
    return []


def _away(group: GroupSeen, *, serving: bool, park: bool = False) -> list[Action]:
    """A release that is not to serve makes way as soon as the committed one serves, and leaves unless it is parked."""
    if group.accepts:
        return [Drain(group.endpoint, group.release, forward=True, park=park)] if serving else []
    if park:
        return []
    if group.workers and group.count(GroupState.DRAINING) == len(group.workers):
        return []  # it is leaving
    return [Stop(group.endpoint, group.release)]


def _retire(endpoint: str, groups: Sequence[GroupSeen], bound: bool) -> list[Action]:
    actions: list[Action] = []
    for group in groups:
        if group.accepts:
            actions.append(Drain(endpoint, group.release, forward=False))
        else:
            actions += _away(group, serving=False)
    if bound and not any(group.accepts for group in groups):
        actions.append(Close(endpoint))
    return actions


def disagreement(want: DesiredEndpoint, groups: Sequence[GroupSeen], refusal: str = "") -> str:
    """What is seen of an endpoint that is not what is committed, in one line; empty when they agree.

    `refusal` is why its port could not be opened.
    """
    endpoint = want.endpoint
    if endpoint.state is EndpointState.RETIRED:
        return ""
    if refusal:
        return refusal
    mine = [group for group in groups if group.endpoint == endpoint.id]
    told = []
    if endpoint.release is not None:
        group = next((group for group in mine if group.release == endpoint.release.id), None)
        if group is None or not group.accepts:
            why = group.failed if group is not None and group.failed else "its workers are starting"
            told.append(f"{endpoint.release.ref} should serve and does not: {why}")
        elif group.failed:
            told.append(f"{endpoint.release.ref} serves with fewer workers than it should: {group.failed}")
    committed = endpoint.release.id if endpoint.release is not None else None
    told += [
        f"release {group.release} still takes traffic" for group in mine if group.accepts and group.release != committed
    ]
    return "; ".join(told)
