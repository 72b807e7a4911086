"""Routes that look back: what was so on a day, and a sample of promotions with all that is kept of them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query

from lockgate import __version__
from lockgate.domain.moments import parse_moment
from lockgate.domain.sampling import MOST
from lockgate.server.api import translate
from lockgate.server.api.answering import Json
from lockgate.server.identity import caller
from lockgate.usecases import history, sample
from lockgate.usecases.history_ports import KeptPolicy
from lockgate.usecases.ports import Ports
from lockgate.wire import history as wire
from lockgate.wiring import check_signature

Wanted = Annotated[int, Query(ge=1, le=MOST)]


def routes(ports: Ports) -> APIRouter:
    """The routes over these ports."""
    router = APIRouter(tags=["record"])

    @router.get("/audit/as-of", response_model=wire.AsOf)
    def read_as_of(at: str, model: str | None = None) -> Json:
        """What was in each stage at that moment and what served then, with who agreed to it and why.

        `at` is a date or a time in UTC. 404 for a time before the record began, 400 for one that has not come yet.
        """
        return Json(_as_of(history.as_of(ports, caller(), parse_moment(at), model)))

    @router.get("/audit/sample", response_model=wire.Sample)
    def read_sample(wanted: Wanted = 25, since: str | None = None, until: str | None = None, seed: str = "") -> Json:
        """Promotions that were over within a time, drawn by chance, each with all that is kept of it.

        The same `seed` and times draw the same ones again; without a seed there is a new one.
        """
        first, last = (parse_moment(each) if each else None for each in (since, until))
        drawn = sample.sample(ports, check_signature, caller(), sample.Asked(wanted, first, last, seed))
        return Json(_sample(drawn, ports.clock.now()))

    @router.get("/audit/anchors", response_model=wire.AnchorList)
    def list_anchors() -> Json:
        """The places outside that checkpoints are written to, and how that went."""
        with ports.store.reading() as work:
            newest, found = work.tree.newest(), work.anchors.all()
        shown = tuple(
            wire.Anchored(a.place, a.size, a.anchored_at, a.attempted_at, a.failures, a.error, a.seen_at) for a in found
        )
        return Json(wire.AnchorList(shown, newest.size if newest is not None else 0))

    return router


def behind(of: history.Behind, *, whole: bool = False) -> wire.Behind:
    """What stands behind a move; `whole` with the text of the policy."""
    request = translate.requested(of.request) if of.request is not None else None
    return wire.Behind(translate.promoted(of.promotion), request, _policy(of.policy, whole=whole))


def _policy(of: KeptPolicy | None, *, whole: bool) -> wire.KeptPolicy | None:
    if of is None:
        return None
    return wire.KeptPolicy(of.digest, of.applied_by, of.applied_at, of.text if whole else "")


def _as_of(of: history.AsOf) -> wire.AsOf:
    models = tuple(
        wire.ModelThen(
            model=each.model,
            stages=tuple(_in_stage(one) for one in each.stages),
            serving=tuple(
                wire.Served(s.environment, s.version, s.release, s.digest, s.since, s.promotion, s.vacant)
                for s in each.serving
            ),
            now=each.now,
            deleted_at=each.deleted_at,
        )
        for each in of.models
    )
    return wire.AsOf(of.at, of.began, of.adopted, models, of.removed)


def _in_stage(of: history.InStage) -> wire.InStage:
    told = behind(of.behind) if of.behind is not None else None
    return wire.InStage(of.version, of.stage.value, of.since, of.digest, of.primary, told, of.unknown)


def _sample(of: sample.Sample, at: datetime) -> wire.Sample:
    return wire.Sample(
        seed=of.asked.seed,
        since=of.asked.since,
        until=of.until,
        population=of.population,
        made_at=at,
        lockgate=__version__,
        promotions=tuple(_sampled(each) for each in of.promotions),
        checkpoint=str(of.checkpoint.note) if of.checkpoint is not None else "",
        keys=of.keys,
    )


def _sampled(of: sample.Sampled) -> wire.Sampled:
    manifest, evidence = of.manifest, of.evidence
    files = manifest.files if manifest is not None else ()
    return wire.Sampled(
        behind=behind(of.behind, whole=True),
        chain=of.chain,
        requests=tuple(translate.requested(each) for each in of.requests),
        validations=tuple(translate.validated(each) for each in of.validations),
        manifest=tuple(wire.PinnedFile(file.path, file.size, file.sha256) for file in files),
        entries=tuple(
            wire.SampledEntry(
                translate.recorded(each.recorded), each.position, each.proof or (), proven=each.proof is not None
            )
            for each in of.entries
        ),
        digest=manifest.digest if manifest is not None else None,
        evidence=evidence.as_plain() if evidence is not None else None,
        trouble=of.trouble,
    )
