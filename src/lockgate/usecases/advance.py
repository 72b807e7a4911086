"""Takes an open promotion one step further, by whoever holds its claim: look at the facts, decide, commit.

Every step is one transaction that may be repeated: a process killed between two steps leaves a row that the next
holder of the claim goes on from. Nothing slow happens inside a transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from lockgate.domain.audit import Entry
from lockgate.domain.canonical import Plain
from lockgate.domain.errors import NotFound, Unreadable
from lockgate.domain.evidence import ArtifactFacts, Evidence, plan_digest
from lockgate.domain.policy import Policy, StageRules
from lockgate.domain.promotion import Claim, Kind, Promotion, PromotionState
from lockgate.domain.rules import judge, leavers, waits_for_validation
from lockgate.domain.serving import Endpoint, EndpointState, GroupState, Release
from lockgate.domain.verdict import Level, Standing, Verdict
from lockgate.domain.versions import VersionRef
from lockgate.usecases import setting_aside, validate
from lockgate.usecases.consent_facts import release_engine
from lockgate.usecases.custom_rules import NOTHING_KNOWN, Known, Unjudged, apart
from lockgate.usecases.gather import (
    Looked,
    catalog_version,
    gather,
    keep_pin,
    look_at_artifacts,
    stored_facts,
    where_artifacts_lie,
)
from lockgate.usecases.plan import stale_because
from lockgate.usecases.ports import Ports, Work
from lockgate.usecases.stages import Move, enter, leave_in_quarantine

SOON = timedelta(milliseconds=100)
LATER = timedelta(seconds=1)
AT_LEAST_EVERY = timedelta(seconds=30)
KEPT_CHANGING = "the evidence kept changing while its custom rules were evaluated"


def advance(ports: Ports, promotion: Promotion, claim: Claim, look: Callable[[], Looked] | None = None) -> Promotion:
    """One step. Gives the claim back unless the promotion is over. Raises LostClaim: then nothing was changed.

    `look` gives what a look at the artifacts found that is under way already.
    """
    step = _Step(ports, promotion, claim, look)
    try:
        match promotion.state:
            case PromotionState.JUDGING | PromotionState.WAITING:
                return step.judge()
            case PromotionState.VALIDATING:
                return step.look_at_validation()
            case PromotionState.WARMING:
                return step.look_at_green()
            case PromotionState.SWITCHING:
                return step.look_at_switch()
            case _:
                return promotion
    except NotFound as gone:
        return step.give_up(gone.message)


def begin(ports: Ports, work: Work, promotion: Promotion, looked: Looked, known: Known) -> Promotion:
    """The first step of a promotion that is not stored yet, in the transaction that opens it.

    Where its gates hold and nothing is to be served, or where they fail, it is stored when it is over already.
    Raises Unjudged when custom rules have to be evaluated first.
    """
    return _Step(ports, promotion, None, known=known).judge_in(work, looked)


@dataclass(frozen=True, slots=True)
class _Judged:
    """What one look gave: the evidence, the rules it was held against, and the verdict."""

    policy: Policy
    rules: StageRules
    evidence: Evidence
    verdict: Verdict
    plan: str
    stale: str  # what is different from the one plan that the promotion is bound to

    @property
    def enforced(self) -> bool:
        return self.policy.level_for(self.rules) is Level.ENFORCE


@dataclass(frozen=True, slots=True)
class _Step:
    """One promotion under one claim (None while it is not stored), and the ports to act through."""

    ports: Ports
    promotion: Promotion
    claim: Claim | None
    under_way: Callable[[], Looked] | None = None
    known: Known = NOTHING_KNOWN

    def judge(self) -> Promotion:
        """Judge the gates on fresh facts: refuse, wait, validate, start green, or commit at once."""
        looked = self.under_way() if self.under_way is not None else self._looked()
        return self._apart(lambda step, work: step.judge_in(work, looked))

    def judge_in(self, work: Work, looked: Looked) -> Promotion:
        """As `judge`, in the caller's transaction and on what the caller read of the artifacts. Raises Unjudged."""
        facts = keep_pin(self.ports, work, self.promotion.ref, looked)
        try:
            seen = self._look(work, facts)
        except Unjudged:
            if self.claim is not None or not self.known.last:
                raise
            return self._kept_changing_in(work)
        promotion = replace(
            self.promotion,
            lasting=self.promotion.lasting or self._was_made_lasting(work),
            verdict=seen.verdict,
            plan_digest=seen.plan,
            policy_digest=seen.policy.digest,
            because="",
        )
        if promotion.kind is Kind.ROLLBACK and facts.digest is None:
            return self._close(work, self._based(work, promotion, seen), PromotionState.FAILED, facts.unreadable)
        if seen.stale:
            return self._close(work, self._based(work, promotion, seen), PromotionState.CANCELLED, seen.stale)
        if seen.verdict.standing is Standing.HOLDS:
            return self._take_way(work, promotion, seen)
        if self._wants_validation(seen):
            return self._validate(work, promotion)
        if seen.verdict.standing is Standing.WAITS and promotion.lasting:
            return self._wait(work, promotion, seen)
        because = "; ".join(f"{gate.name}: {gate.because}" for gate in seen.verdict.binding)
        return self._close(work, self._based(work, promotion, seen), PromotionState.REFUSED, because)

    def look_at_validation(self) -> Promotion:
        """Judge again once the validation it waits for is over."""
        with self._writing() as work:
            found = work.validations.get(self.promotion.validation)
            if found is not None and not found.state.is_over:
                return self._save(work, self.promotion, due_in=AT_LEAST_EVERY)
            return self._save(work, self._in(self.promotion, PromotionState.JUDGING), due_in=timedelta())

    def look_at_green(self) -> Promotion:
        """Commit when green answers; give it up when it failed or took too long."""
        return self._apart(lambda step, work: step.look_at_green_in(work))

    def look_at_green_in(self, work: Work) -> Promotion:
        """As `look_at_green`, in the caller's transaction. Raises Unjudged."""
        promotion = self.promotion
        policy = work.policies.in_force()
        green = work.endpoints.observed_release(promotion.candidate)
        state = green.state if green is not None else None
        if state in (GroupState.READY, GroupState.SERVING):
            return self._commit_green(work, promotion)
        if green is not None and state is GroupState.FAILED:
            return self._green_failed(work, promotion, green.because)
        # time in which no controller ran, and perhaps no agent, is not green's fault
        began = max(promotion.state_since or promotion.asked_at, self.ports.started_at)
        if self._now() - began > policy.warm_limit:
            told = "no agent has reported it" if green is None else f"it is still {green.state}"
            limit = f"{policy.warm_limit.total_seconds():g} s"
            return self._green_failed(work, promotion, f"it did not get ready within {limit}: {told}")
        return self._save(work, promotion, due_in=SOON)

    def look_at_switch(self) -> Promotion:
        """Done when the agent says that the committed generation serves. The bake takes no time in this release."""
        promotion = self.promotion
        with self._writing() as work:
            endpoint = work.endpoints.by_id(promotion.endpoint)
            if endpoint is not None and endpoint.acknowledged < promotion.generation:
                waited = self._now() - (promotion.state_since or promotion.asked_at)
                return self._save(work, promotion, due_in=SOON if waited < timedelta(seconds=30) else LATER)
            work.endpoints.bake(promotion.candidate, self._now())
            return self._close(work, promotion, PromotionState.DONE, "")

    def give_up(self, because: str) -> Promotion:
        """The version is gone: nothing is left to move."""
        with self._writing() as work:
            if self.promotion.candidate and not self.promotion.generation:
                work.endpoints.warm(self.promotion.endpoint, None)
            return self._close(work, self.promotion, PromotionState.FAILED, because)

    # --- looking

    def _looked(self) -> Looked:
        if not self.promotion.stage.is_gated:
            return Looked(ArtifactFacts(None))
        if self.promotion.kind is Kind.ROLLBACK:
            return Looked(self._facts_of_release())
        return look_at_artifacts(self.ports, *where_artifacts_lie(self.ports, self.promotion.ref))

    def _was_made_lasting(self, work: Work) -> bool:
        """Somebody who waits may have joined since it was claimed."""
        if self.claim is None or self.promotion.lasting:
            return self.promotion.lasting
        now = work.promotions.get(self.promotion.id)
        return now is not None and now.lasting

    def _facts_of_release(self) -> ArtifactFacts:
        """A rollback serves what was kept of the release, so its source may have changed or gone since."""
        ref, artifacts = self.promotion.ref, self.ports.artifacts
        with self.ports.store.reading() as work:
            facts, location = stored_facts(work, ref), catalog_version(work, ref).location
        if facts.digest is None or artifacts.is_cached(facts.digest):
            return facts
        try:
            found = artifacts.pin(location).digest
        except Unreadable as unreadable:
            return ArtifactFacts(None, unreadable=f"its kept files are gone and {unreadable.message}")
        if found != facts.digest:
            return ArtifactFacts(None, unreadable=f"its kept files are gone and the source of {ref} has changed")
        return facts

    def _look(self, work: Work, facts: ArtifactFacts) -> _Judged:
        promotion = self.promotion
        policy = work.policies.in_force()
        rules = policy.rules(promotion.ref.model, promotion.stage)
        evidence = gather(
            work,
            policy,
            promotion.ref,
            promotion.stage,
            facts,
            self._now(),
            archive_existing=promotion.archive_existing,
        )
        if promotion.leaves is not None:
            # it leaves with this very commit, so it counts against no limit and is archived once
            staying = tuple(ref for ref in evidence.occupants if ref != promotion.leaves)
            evidence = replace(evidence, occupants=staying)
        if promotion.kind is not Kind.ROLLBACK:
            evidence = self.known.on(evidence, rules)
        # A rollback goes to a release that held its gates in its day; judging it anew could forbid the way back.
        held = Verdict(()) if promotion.kind is Kind.ROLLBACK else judge(evidence, rules, policy.level_for(rules))
        held = setting_aside.judged(work, promotion, evidence, held)
        stale = stale_because(work, evidence, rules, promotion.asked_plan)
        return _Judged(policy, rules, evidence, held, plan_digest(evidence, rules), stale)

    def _wants_validation(self, seen: _Judged) -> bool:
        """Whether all that is missing, or some of what waits, is a validation that can be run now."""
        if seen.verdict.standing is Standing.FAILS or seen.evidence.artifacts.digest is None:
            return False
        return waits_for_validation(seen.evidence, seen.rules, seen.verdict)

    # --- going on

    def _take_way(self, work: Work, promotion: Promotion, seen: _Judged) -> Promotion:
        """The gates hold: start green where something is to be served, else commit at once."""
        environment = seen.policy.environment_for(promotion.stage)
        digest = seen.evidence.artifacts.digest
        rule = seen.policy.endpoint_rule(promotion.ref.model)
        if environment is None or not rule.serve or digest is None:
            return self._commit(work, promotion, seen, None)
        endpoint = work.endpoints.get(environment.name, promotion.ref.model)
        if endpoint is None:
            if len(work.endpoints.all()) >= seen.policy.max_endpoints:
                because = f"the policy allows {seen.policy.max_endpoints} endpoints (max_endpoints); retire one first"
                return self._close(work, self._based(work, promotion, seen), PromotionState.FAILED, because)
            id = self.ports.ids.new("ep")
            endpoint = work.endpoints.create(id, environment.name, promotion.ref.model, self._now())
        if (holder := self._holder(work)) is not None:
            return self._step_aside(work, self._based(work, promotion, seen), holder)
        release = endpoint.release
        engine = str(release_engine(work, rule, promotion.ref, digest))
        if release is not None and (release.ref, release.digest, release.engine) == (promotion.ref, digest, engine):
            return self._commit(work, promotion, seen, endpoint)
        release = self._release(work, endpoint, digest, engine)
        work.endpoints.warm(endpoint.id, release)
        told = {"environment": environment.name, "release": release.id, "digest": digest}
        self._record(work, "rollout:started", before=_served(endpoint), after=str(promotion.ref), **told)
        warming = self._in(promotion, PromotionState.WARMING, endpoint=endpoint.id, candidate=release.id)
        return self._save(work, warming, due_in=SOON)

    def _release(self, work: Work, endpoint: Endpoint, digest: str, engine: str) -> Release:
        """A rollback goes back to the release that served, whose workers may still be warm. Others make a new one."""
        promotion = self.promotion
        if promotion.kind is Kind.ROLLBACK:
            for release in work.endpoints.releases(endpoint.id):
                if (release.ref, release.digest) == (promotion.ref, digest) and release.baked_at is not None:
                    return release
        id = self.ports.ids.new("rel")
        return Release(id, endpoint.id, promotion.ref, digest, engine, promotion.id, self._now())

    def _holder(self, work: Work) -> Promotion | None:
        mine = self.promotion
        others = work.promotions.open_of_model(mine.ref.model)
        return next((o for o in others if o.id != mine.id and o.stage is mine.stage and o.state.moves_endpoint), None)

    def _step_aside(self, work: Work, promotion: Promotion, holder: Promotion) -> Promotion:
        because = f"a rollout of {holder.ref} to {holder.stage} moves the endpoint (promotion {holder.id})"
        if promotion.lasting:
            return self._save(work, self._in(promotion, PromotionState.WAITING, because=because), due_in=LATER)
        return self._close(work, promotion, PromotionState.CANCELLED, because)

    def _validate(self, work: Work, promotion: Promotion) -> Promotion:
        found = validate.queue(
            work,
            id=self.ports.ids.new("val"),
            ref=promotion.ref,
            who=promotion.asked_by,
            trigger="promotion",
            at=self._now(),
        )
        validating = self._in(promotion, PromotionState.VALIDATING, validation=found.id)
        # The end of the validation makes it due; the half minute is for an end that nobody told of.
        return self._save(work, validating, due_in=AT_LEAST_EVERY)

    def _wait(self, work: Work, promotion: Promotion, seen: _Judged) -> Promotion:
        because = "; ".join(f"{gate.name}: {gate.because}" for gate in seen.verdict.binding)
        soak = seen.rules.soak
        left = AT_LEAST_EVERY
        if soak is not None:
            ready = seen.evidence.stage_since + soak - self._now()
            left = min(left, max(ready, SOON)) if ready > timedelta() else left
        since = promotion.state_since if promotion.state is PromotionState.WAITING else self._now()
        waiting = replace(promotion, state=PromotionState.WAITING, because=because, state_since=since)
        return self._save(work, waiting, due_in=left)

    # --- committing

    def _commit_green(self, work: Work, promotion: Promotion) -> Promotion:
        """Green answers: judge once more under the lock, then one commit."""
        seen = self._look(work, stored_facts(work, promotion.ref))
        endpoint = work.endpoints.by_id(promotion.endpoint)
        if seen.verdict.standing is Standing.HOLDS and endpoint is not None and not seen.stale:
            return self._commit(work, promotion, seen, endpoint, green=True)
        work.endpoints.warm(promotion.endpoint, None)
        promotion = replace(promotion, verdict=seen.verdict, candidate="", judgements=promotion.judgements + 1)
        if promotion.judgements >= 3:
            promotion = self._based(work, promotion, seen)
            because = "the evidence kept changing while green was started"
            return self._close(work, promotion, PromotionState.CANCELLED, because)
        return self._save(work, self._in(promotion, PromotionState.JUDGING), due_in=timedelta())

    def _green_failed(self, work: Work, promotion: Promotion, because: str) -> Promotion:
        """Blue goes on. Where rules bind, the promotion failed; where they observe, the stage moves all the same."""
        work.endpoints.warm(promotion.endpoint, None)
        told = f"{promotion.ref} could not be served: {because}"
        endpoint = work.endpoints.by_id(promotion.endpoint)
        self._record(
            work,
            "rollout:failed",
            before=str(promotion.ref),
            after=_served(endpoint),
            why=told,
            environment=endpoint.environment if endpoint else "",
            release=promotion.candidate,
        )
        seen = self._look(work, stored_facts(work, promotion.ref))
        promotion = replace(promotion, candidate="")
        holds = seen.verdict.standing is Standing.HOLDS and not seen.stale
        if seen.enforced or promotion.kind.goes_first or not holds:
            return self._close(work, self._based(work, promotion, seen), PromotionState.FAILED, told)
        closed = self._commit(work, promotion, seen, None)
        endpoint = work.endpoints.by_id(promotion.endpoint)
        if endpoint is not None:
            on = f"; {endpoint.release.ref} goes on" if endpoint.release else ""
            work.endpoints.set_state(endpoint.id, EndpointState.DEGRADED, f"{told}{on}")
        return closed

    def _commit(
        self, work: Work, promotion: Promotion, seen: _Judged, endpoint: Endpoint | None, *, green: bool = False
    ) -> Promotion:
        """Stage, alias, endpoint, audit and outbox in this one transaction."""
        now, generation = self._now(), 0
        promotion = self._based(work, promotion, seen)
        if endpoint is not None and green:
            generation = work.endpoints.commit(endpoint.id, promotion.candidate, now)
            self._record(
                work,
                "deployment:committed",
                before=_served(endpoint),
                after=str(promotion.ref),
                environment=endpoint.environment,
                release=promotion.candidate,
                digest=seen.evidence.artifacts.digest,
                generation=generation,
            )
        detail: dict[str, Plain] = {
            "kind": promotion.kind.value,
            "artifacts": seen.evidence.artifacts.digest,
            "plan": seen.plan,
            **_judgement(promotion),
            "policy": seen.policy.digest,
            "gates": {gate.name: f"{gate.standing} ({gate.level})" for gate in seen.verdict.gates},
        }
        move = Move(
            promotion.ref,
            promotion.stage,
            promotion.asked_by,
            promotion.reason,
            now,
            promotion.id,
            (*leavers(seen.evidence, seen.rules), *self._named_to_leave(work)),
            detail,
        )
        if promotion.leaves is not None and promotion.kind is Kind.ROLLBACK:
            leave_in_quarantine(work, seen.policy, promotion.leaves, move)
        enter(work, seen.policy, move)
        setting_aside.used(work, promotion, seen.evidence.now)
        if promotion.stage.is_gated and seen.evidence.quarantine is not None:
            work.versions.quarantine(promotion.ref, None)
            why = seen.evidence.quarantine.reason
            self._record(work, "version:unquarantined", before="quarantined", after=None, why=why)
        self._validate_afterwards(work, seen)
        if not generation:
            return self._close(work, promotion, PromotionState.DONE, "")
        switching = self._in(promotion, PromotionState.SWITCHING, generation=generation)
        return self._save(work, switching, due_in=timedelta(milliseconds=20))

    def _named_to_leave(self, work: Work) -> tuple[VersionRef, ...]:
        """The version that the caller named to make room, while it is still there."""
        promotion, named = self.promotion, self.promotion.leaves
        if named is None or promotion.kind is Kind.ROLLBACK or promotion.archive_existing:
            return ()
        return (named,) if named in work.versions.in_stage(promotion.ref.model, promotion.stage) else ()

    def _validate_afterwards(self, work: Work, seen: _Judged) -> None:
        """Where rules only observe, nothing waits for a validation: it is run once the move is made."""
        digest, ref = seen.evidence.artifacts.digest, self.promotion.ref
        if digest is None or not seen.rules.validation_tests or work.validations.latest(ref, digest) is not None:
            return
        id, who = self.ports.ids.new("val"), self.promotion.asked_by
        validate.queue(work, id=id, ref=ref, who=who, trigger="promotion", at=self._now())

    def _based(self, work: Work, promotion: Promotion, seen: _Judged) -> Promotion:
        """The promotion with this verdict, and what it was based on kept: into a stage that is not gated, nothing."""
        judged = replace(promotion, verdict=seen.verdict, plan_digest=seen.plan, policy_digest=seen.policy.digest)
        if not promotion.stage.is_gated:
            return judged
        return replace(judged, evidence_digest=work.evidence.keep(seen.evidence, self._now()))

    def _close(self, work: Work, promotion: Promotion, state: PromotionState, because: str) -> Promotion:
        now = self._now()
        closed = replace(promotion, state=state, because=because, state_since=now, closed_at=now)
        verdict = closed.verdict
        gates = {g.name: f"{g.standing}: {g.because}" for g in verdict.open} if verdict else {}
        detail: dict[str, Plain] = {"kind": promotion.kind.value, "gates": gates, **_judgement(closed)}
        self._record(work, f"promotion:{state}", after=promotion.stage, why=because, **detail)
        self._keep(work, closed)
        return closed

    def _save(self, work: Work, promotion: Promotion, *, due_in: timedelta) -> Promotion:
        self._keep(work, promotion, due_in)
        return promotion

    def _keep(self, work: Work, promotion: Promotion, due_in: timedelta = timedelta()) -> None:
        due_at = self._now() + due_in
        if self.claim is None:
            work.promotions.add(promotion, due_at=due_at)
        else:
            self.ports.queue.save_promotion(work, self.claim, promotion, due_at=due_at, release=True)

    # --- small things

    def _in(self, promotion: Promotion, state: PromotionState, **changes: object) -> Promotion:
        return replace(promotion, state=state, state_since=self._now(), **changes)  # type: ignore[arg-type]

    def _record(
        self, work: Work, action: str, *, before: Plain = "", after: Plain = "", why: str = "", **detail: Plain
    ) -> None:
        ref, who = self.promotion.ref, self.promotion.asked_by
        told: dict[str, Plain] = {"promotion": self.promotion.id, **detail}
        work.record.write(Entry(action, who, self._now(), ref.model, ref.version, before, after, why, told))

    def _now(self) -> datetime:
        return self.ports.clock.now()

    def _apart(self, step: Callable[[_Step, Work], Promotion]) -> Promotion:
        """Take the step in a transaction of its own, with the custom rules it asks for evaluated outside of it."""

        def attempt(known: Known) -> Promotion:
            with self._writing() as work:
                return step(replace(self, known=known), work)

        try:
            return apart(self.ports.custom, attempt)
        except Unjudged:
            return self._kept_changing()

    def _kept_changing(self) -> Promotion:
        with self._writing() as work:
            return self._kept_changing_in(work)

    def _kept_changing_in(self, work: Work) -> Promotion:
        """A plain client is told so; who waits has time, and it is judged again soon."""
        promotion = self.promotion
        if promotion.candidate:
            work.endpoints.warm(promotion.endpoint, None)
            promotion = replace(promotion, candidate="")
        if promotion.lasting:
            return self._save(work, self._in(promotion, PromotionState.JUDGING, because=KEPT_CHANGING), due_in=LATER)
        return self._close(work, promotion, PromotionState.CANCELLED, KEPT_CHANGING)

    @contextmanager
    def _writing(self) -> Iterator[Work]:
        assert self.claim is not None, "what is not stored has no transaction of its own"
        with self.ports.store.writing(self.promotion.ref.model) as work:
            # before anything is looked at: what somebody else did with it since would read like trouble of its own
            self.ports.queue.save_promotion(work, self.claim, self.promotion, due_at=None, release=False)
            yield work


def _served(endpoint: Endpoint | None) -> str | None:
    """What the endpoint serves by the last commit, as the record names it."""
    return str(endpoint.release.ref) if endpoint is not None and endpoint.release is not None else None


def _judgement(promotion: Promotion) -> dict[str, Plain]:
    """What the record says of a verdict, so that it can be judged again: what it was based on, and what came of it."""
    if promotion.verdict is None or not promotion.evidence_digest:
        return {}
    return {
        "evidence": promotion.evidence_digest,
        "policy": promotion.policy_digest,
        "verdict": promotion.verdict.standing.value,
        "would_be": promotion.verdict.would_be.value,
    }
