"""What workers are told of one another: the models of their environment, and the versions that share an endpoint."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from lockgate.domain.serving import DesiredEndpoint, EndpointState, GroupState, Release
from lockgate.domain.traffic import Neighbour
from lockgate.usecases.serving_ports import BesideOrder, Division, GroupSeen

MOST_BESIDE = 4
"""Further versions of one endpoint that answer: each takes memory. Those that a split names come first."""

_LOADED = (GroupState.READY, GroupState.SERVING, GroupState.DRAINING)

Apart = Callable[[DesiredEndpoint, Release], bool]
"""Whether a release of that endpoint cannot live in the processes of the committed one."""


def neighbours(
    desired: Sequence[DesiredEndpoint], groups: Sequence[GroupSeen], ports: Mapping[str, int]
) -> dict[str, tuple[Neighbour, ...]]:
    """For each endpoint, where the models of its environment are answered, its own among them.

    Environments of different workspaces have nothing to do with each other, whatever they are called.
    """
    together: dict[tuple[str, str], list[Neighbour]] = defaultdict(list)
    for want in desired:
        endpoint = want.endpoint
        accepting = [g for g in groups if g.endpoint == endpoint.id and g.accepts]
        # in a cutover two releases accept for a moment, and the committed one is the right one
        committed = endpoint.release.id if endpoint.release is not None else ""
        best = [g for g in accepting if g.release == committed] or accepting
        workers = tuple(sorted(w.id for g in best for w in g.workers if w.state is GroupState.SERVING))
        # where nobody accepts for the moment, requests wait at the port for who is started next
        if endpoint.release is not None and endpoint.id in ports and endpoint.state is not EndpointState.RETIRED:
            own = Neighbour(endpoint.id, endpoint.model, want.host, ports[endpoint.id], workers)
            together[want.workspace, endpoint.environment].append(own)
    found = {}
    for want in desired:
        there = together.get((want.workspace, want.endpoint.environment), [])
        # who is alone need not be told of themselves
        found[want.endpoint.id] = tuple(there) if any(n.endpoint != want.endpoint.id for n in there) else ()
    return found


def chosen_beside(want: DesiredEndpoint) -> tuple[Release, ...]:
    """The further releases that answer: those of the split, then the newest."""
    named = want.split.versions if want.split is not None else frozenset()
    ordered = sorted(want.beside, key=lambda release: release.ref.version not in named)
    return tuple(ordered[:MOST_BESIDE])


def set_apart(want: DesiredEndpoint, apart: Apart) -> frozenset[str]:
    """The releases beside the committed one that need workers of their own."""
    if want.endpoint.release is None:
        return frozenset()
    shadow = want.split.shadow if want.split is not None else None
    # a copy must not take the time of the process that answers
    return frozenset(r.id for r in chosen_beside(want) if r.ref.version == shadow or apart(want, r))


def divisions(
    want: DesiredEndpoint,
    groups: Sequence[GroupSeen],
    own_workers: frozenset[str],
    folder: Callable[[str], Path | None],
) -> dict[str, Division]:
    """What the workers of each release of the endpoint are told.

    `own_workers` are the releases of `set_apart`; `folder` gives the local artifacts of a digest, None while they are
    not here.
    """
    told = {group.release: Division() for group in groups if group.endpoint == want.endpoint.id}
    committed = want.endpoint.release
    for id in own_workers & told.keys():
        told[id] = Division(shares=True)
    if committed is None or committed.id not in told or want.endpoint.state is EndpointState.RETIRED:
        return told
    orders = []
    for release in chosen_beside(want):
        artifacts = folder(release.digest)
        if artifacts is None:
            continue
        mine = [g for g in groups if (g.endpoint, g.release) == (want.endpoint.id, release.id)]
        workers = tuple(sorted(w.id for g in mine for w in g.workers if w.state in _LOADED))
        apart = release.id in own_workers
        orders.append(BesideOrder(release, artifacts, apart, workers if apart else ()))
    there = frozenset(order.release.ref.version for order in orders)
    split = want.split.among(there, committed.ref.version) if want.split is not None else None
    told[committed.id] = Division(tuple(orders), split)
    return told
