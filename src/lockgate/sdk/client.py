"""The Python client of a Lockgate server: plan, promote, approve, roll back, and read where everything stands.

from lockgate import Lockgate

lockgate = Lockgate("http://127.0.0.1:5000", who="dana")
lockgate.promote("fraud@7", "staging", wait=120)
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from types import TracebackType
from typing import overload

from lockgate.sdk.approvals import BreakGlass, Delegations, Proposals
from lockgate.sdk.checks import Checks
from lockgate.sdk.credentials import found
from lockgate.sdk.endpoint_tokens import EndpointTokens
from lockgate.sdk.engines import Engines
from lockgate.sdk.errors import BadRequest
from lockgate.sdk.history import History
from lockgate.sdk.http import Http
from lockgate.sdk.keeping import Keeping
from lockgate.sdk.outcome import outcome_of, wait_until_over
from lockgate.sdk.people import People, Tokens
from lockgate.sdk.policies import Policies
from lockgate.sdk.predictions import Predictions
from lockgate.sdk.record import Record
from lockgate.sdk.semver import SemanticVersions
from lockgate.sdk.splits import Splits
from lockgate.sdk.written import Version, read_version, segment
from lockgate.wire import approvals as approving
from lockgate.wire import people as users
from lockgate.wire import requests as ask
from lockgate.wire import shapes
from lockgate.wire import webhooks as hooks
from lockgate.wire.plain import from_json, to_json

DEFAULT_URL = "http://127.0.0.1:5000"


class Lockgate:
    """A server and the name under which one asks it.

    `url` is $LOCKGATE_URL when not given, else $MLFLOW_TRACKING_URI where that is an http address, else
    http://127.0.0.1:5000. On a server with users `token` logs in, or `who` with `password`; without any of them it is
    $LOCKGATE_TOKEN, MLflow's own $MLFLOW_TRACKING_USERNAME with $MLFLOW_TRACKING_PASSWORD, or $MLFLOW_TRACKING_TOKEN.
    On a server without users `who` is enough: $LOCKGATE_USER when not given, else the login name of this process.
    `timeout` is in seconds and holds for one answer of the server. `workspace` is one of MLflow's: $MLFLOW_WORKSPACE
    when not given, else the default one. `via` is the door that the record shows. Every method raises errors of
    `lockgate.sdk.errors`: Unreachable when the server does not answer, BadRequest, NotFound and Forbidden as they say.
    """

    def __init__(
        self,
        url: str | None = None,
        who: str | None = None,
        timeout: float = 30.0,
        *,
        password: str | None = None,
        token: str | None = None,
        workspace: str | None = None,
        via: str = "sdk",
    ) -> None:
        self.url = (url or _default_url()).rstrip("/")
        shown = found(None if token else who, token or password, os.environ)
        self.who = shown.name
        within = workspace if workspace is not None else os.environ.get("MLFLOW_WORKSPACE", "")
        self._http = Http(self.url, shown, timeout, via, within)

    def __enter__(self) -> Lockgate:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections. The client can't be used afterwards."""
        self._http.close()

    # --- where things stand ---------------------------------------------------------------------------------------

    @overload
    def status(self, model: None = None) -> shapes.Overview: ...

    @overload
    def status(self, model: str) -> shapes.ModelStatus: ...

    def status(self, model: str | None = None) -> shapes.Overview | shapes.ModelStatus:
        """All models, or one: for each version where it is, what serves it and what is missing for the next stage."""
        answer = self._http.get("/status", model=model)
        return from_json(shapes.Overview, answer) if model is None else from_json(shapes.ModelStatus, answer)

    def plan(
        self, version: Version, to: str = "Production", *, archive_existing: bool = True, keep: bool = False
    ) -> shapes.Plan:
        """What a promotion would do now, judged on the evidence of this moment. Moves nothing.

        With `keep` the server keeps what the plan is made of, and can say later what changed.
        """
        model, number = read_version(version)
        body = ask.PlanAsk(model, number, to, archive_existing=archive_existing, keep=keep)
        return from_json(shapes.Plan, self._http.post("/plan", to_json(body)))

    def endpoints(self) -> tuple[shapes.Endpoint, ...]:
        """What is served, where, by which processes."""
        return from_json(shapes.EndpointList, self._http.get("/endpoints")).endpoints

    @property
    def endpoint_tokens(self) -> EndpointTokens:
        """What lets callers ask endpoints for predictions."""
        return EndpointTokens(self._http)

    @property
    def engines(self) -> Engines:
        """How fast each engine of a version answers, and how like MLflow's own way."""
        return Engines(self._http)

    @property
    def predictions(self) -> Predictions:
        """What models were asked and answered, as far as it was logged, with labels."""
        return Predictions(self._http)

    @property
    def splits(self) -> Splits:
        """How endpoints' requests are divided among versions."""
        return Splits(self._http)

    def drift(self, model: str | None = None) -> tuple[shapes.Difference, ...]:
        """Where MLflow's tables differ from what Lockgate holds, in one model or in all: somebody wrote past it."""
        return from_json(shapes.DriftList, self._http.get("/drift", model=model)).drift

    def accept_drift(self, model: str, reason: str) -> tuple[shapes.Difference, ...]:
        """Let Lockgate's rows follow what was deleted past it in this model; what was accepted.

        Raises NotFound when nothing was, Conflict while a deleted version still serves.
        """
        body = to_json(ask.AcceptAsk(model, reason))
        return from_json(shapes.DriftList, self._http.post("/drift/accept", body)).drift

    def ready(self) -> bool:
        """Whether the server answers everything; False while it starts. Raises Unreachable when it is not there."""
        return self._http.is_ready()

    # --- moving versions ------------------------------------------------------------------------------------------

    def promote(
        self,
        version: Version,
        to: str = "Production",
        *,
        reason: str = "",
        archive_existing: bool = True,
        wait: float | None = None,
        plan: str = "",
        replace: int | None = None,
    ) -> shapes.Promotion:
        """Move a version to a stage, and see it done where `wait` (seconds) is given.

        Without `wait` it returns at once, and the promotion goes on at the server until it is done, waiting for
        approvals and for time where the policy asks for them. Joins the promotion that is under way for the same
        version and stage. Raises Refused with the gates, Waiting when it is not over after `wait`, Failed when it was
        tried and did not work, Conflict when something else is in its way or it was cancelled.

        With `plan` (a digest) nothing else than that plan is carried out: Conflict says what changed. `replace` is the
        number of the one version that leaves the stage; then no other is archived.
        """
        model, number = read_version(version)
        kept = archive_existing and replace is None
        body = ask.PromotionAsk(model, number, to, reason, archive_existing=kept, plan=plan, replace=replace)
        return self._follow(from_json(shapes.Promotion, self._http.post("/promotions", to_json(body))), wait)

    def rollback(
        self,
        model: str,
        reason: str,
        *,
        to: int | None = None,
        environment: str = "production",
        wait: float | None = None,
    ) -> shapes.Promotion:
        """Go back to the last known good release, or to version `to` where it qualifies; what it leaves is quarantined.

        Returns and raises as promote does; Conflict when there is no release to go back to.
        """
        body = ask.RollbackAsk(model, reason, to, environment)
        return self._follow(from_json(shapes.Promotion, self._http.post("/rollbacks", to_json(body))), wait)

    def promotion(self, id: str) -> shapes.Promotion:
        """One promotion as it is now, over or not."""
        return from_json(shapes.Promotion, self._http.get(f"/promotions/{_segment(id)}"))

    def promotions(self, model: str | None = None, limit: int = 100) -> tuple[shapes.Promotion, ...]:
        """The latest promotions, newest first, of one model or of all."""
        return from_json(shapes.PromotionList, self._http.get("/promotions", model=model, limit=limit)).promotions

    def cancel(self, id: str) -> shapes.Promotion:
        """Withdraw an open promotion. Raises Conflict when it is over or switching already."""
        return from_json(shapes.Promotion, self._http.post(f"/promotions/{_segment(id)}/cancel", None))

    def rollouts(self, model: str) -> tuple[shapes.Rollout, ...]:
        """The promotions that moved an endpoint of this model, or tried to, newest first."""
        return from_json(shapes.RolloutList, self._http.get("/rollouts", model=model)).rollouts

    def retire(self, environment: str, model: str) -> shapes.Endpoint:
        """Stop an endpoint whose version left its stage. Raises Conflict when a version of that stage is served."""
        body = ask.RetireAsk(environment, model)
        return from_json(shapes.Endpoint, self._http.post("/endpoints/retire", to_json(body)))

    # --- evidence -------------------------------------------------------------------------------------------------

    def validate(self, version: Version, *, wait: float | None = None) -> shapes.Validation:
        """Run the suite on a version, or join the run that is under way.

        With `wait` (seconds) it returns when the run is over, passed or not, and raises Waiting when it is not by then.
        """
        body = ask.ValidationAsk(*read_version(version))
        opened = from_json(shapes.Validation, self._http.post("/validations", to_json(body)))
        if wait is None:
            return opened
        return wait_until_over(opened, self.validation, wait)

    def validation(self, id: str) -> shapes.Validation:
        """One validation with the results it has."""
        return from_json(shapes.Validation, self._http.get(f"/validations/{_segment(id)}"))

    def validations(self, model: str) -> tuple[shapes.Validation, ...]:
        """The validations of one model, newest first."""
        return from_json(shapes.ValidationList, self._http.get("/validations", model=model)).validations

    @property
    def checks(self) -> Checks:
        """Results that systems outside report about versions."""
        return Checks(self._http)

    @property
    def semver(self) -> SemanticVersions:
        """The semantic versions of a model's versions."""
        return SemanticVersions(self._http)

    # --- approvals ------------------------------------------------------------------------------------------------

    def request(self, version: Version, reason: str, to: str = "Production") -> shapes.ApprovalRequest:
        """Ask for a yes to moving a version into a stage."""
        model, number = read_version(version)
        return self._approval("/approvals", ask.ApprovalAsk(model, number, reason, to))

    def approve(
        self, version: Version, comment: str = "", to: str = "Production", *, plan: str = ""
    ) -> shapes.ApprovalRequest:
        """Say yes; with `plan` (a digest) only to that very plan.

        Raises Forbidden for one's own request and without the role, NotFound without a request, Conflict when it is not
        pending or the plan is stale.
        """
        model, number = read_version(version)
        body = ask.DecisionAsk(model, number, approved=True, comment=comment, to=to, plan=plan)
        return self._approval("/approvals/decision", body)

    def reject(
        self, version: Version, reason: str, to: str = "Production", *, archive: bool = False
    ) -> shapes.ApprovalRequest:
        """Say no, and why; with `archive` the version is archived too. Raises as approve does."""
        model, number = read_version(version)
        body = ask.DecisionAsk(model, number, approved=False, comment=reason, to=to, archive=archive)
        return self._approval("/approvals/decision", body)

    def withdraw(
        self, version: Version, reason: str, to: str = "Production", *, approval: bool = False
    ) -> shapes.ApprovalRequest:
        """Take back one's own request, or one's own yes. Raises Forbidden for another's, Conflict once it was moved."""
        model, number = read_version(version)
        body = approving.WithdrawAsk(model, number, reason, to, approval=approval)
        return from_json(shapes.ApprovalRequest, self._http.post("/approvals/withdraw", to_json(body)))

    def approvals(self, limit: int = 100, after: str = "") -> tuple[shapes.ApprovalRequest, ...]:
        """The requests nobody has answered yet, oldest first; `after` is the id of the last one that was seen."""
        answer = self._http.get("/approvals", limit=limit, after=after or None)
        return from_json(shapes.ApprovalList, answer).approvals

    def approval(self, id: str) -> approving.ApprovalView:
        """One request with all that an approver looks at. Raises NotFound."""
        return from_json(approving.ApprovalView, self._http.get(f"/approvals/{_segment(id)}"))

    def kept_plan(self, digest: str) -> approving.KeptPlan:
        """The parts of a plan that was kept, by its digest or its first 12 digits. Raises NotFound."""
        return from_json(approving.KeptPlan, self._http.get(f"/plans/{segment(digest)}"))

    @property
    def delegations(self) -> Delegations:
        """Who may answer in whose place, and until when."""
        return Delegations(self._http)

    @property
    def break_glass(self) -> BreakGlass:
        """Setting the gates aside in an emergency, by two people."""
        return BreakGlass(self._http)

    @property
    def proposals(self) -> Proposals:
        """Policies that wait for a second administrator."""
        return Proposals(self._http)

    # --- users ----------------------------------------------------------------------------------------------------

    def whoami(self) -> users.WhoAmI:
        """Who the server takes the caller for, and what they may act under."""
        return from_json(users.WhoAmI, self._http.get("/whoami"))

    @property
    def people(self) -> People:
        """Users: adding them, giving them roles and passwords."""
        return People(self._http)

    @property
    def tokens(self) -> Tokens:
        """Tokens: making, listing and revoking them."""
        return Tokens(self._http)

    # --- webhooks -------------------------------------------------------------------------------------------------

    def webhooks(self) -> tuple[hooks.Webhook, ...]:
        """MLflow's webhooks by name, with what they hear."""
        return from_json(hooks.WebhookList, self._http.get("/webhooks")).webhooks

    def deliveries(self, webhook: str, limit: int = 100) -> tuple[hooks.Delivery, ...]:
        """What was sent to a webhook, by its id, newest first. Raises NotFound."""
        answer = self._http.get(f"/webhooks/{_segment(webhook)}/deliveries", limit=limit)
        return from_json(hooks.DeliveryList, answer).deliveries

    def redeliver(self, delivery: str) -> hooks.Delivery:
        """Send a delivery once more, under its old id. Raises NotFound, Conflict while it is about to be sent."""
        return from_json(hooks.Delivery, self._http.post(f"/deliveries/{_segment(delivery)}/redeliver", None))

    def subscribe(self, webhook: str, events: Iterable[str]) -> hooks.Webhook:
        """Let a webhook hear these actions of the record too: `version:transitioned`, `promotion:*`, `*`."""
        return self._heard(webhook, "subscribe", events)

    def unsubscribe(self, webhook: str, events: Iterable[str] = ()) -> hooks.Webhook:
        """Take such actions away again as they were given, all of them when none is named."""
        return self._heard(webhook, "unsubscribe", events)

    @property
    def policies(self) -> Policies:
        """What each gate asks of a version, the past under another policy, and applying one."""
        return Policies(self._http)

    # --- record and policy ----------------------------------------------------------------------------------------

    def audit(
        self, model: str | None = None, action: str | None = None, limit: int = 100
    ) -> tuple[shapes.AuditEntry, ...]:
        """Entries of the record, newest first; at most 1000 in one answer."""
        return from_json(shapes.AuditList, self._http.get("/audit", model=model, action=action, limit=limit)).entries

    def verify_audit(self) -> shapes.AuditCheck:
        """Check the record at the server: its chains, its tree and every signed checkpoint."""
        return self.record.verify()

    @property
    def record(self) -> Record:
        """What proves the record: checkpoints, the export, proofs, and the keys that sign."""
        return Record(self._http)

    @property
    def history(self) -> History:
        """The past: what was so on a day, and samples of promotions."""
        return History(self._http)

    @property
    def keeping(self) -> Keeping:
        """Retention and legal hold."""
        return Keeping(self._http)

    def policy(self) -> shapes.PolicyInForce:
        """The policy by which gates are judged now."""
        return from_json(shapes.PolicyInForce, self._http.get("/policy"))

    def check_policy(self, text: str) -> shapes.PolicyCheck:
        """Whether a policy file's text is right, without applying it."""
        return from_json(shapes.PolicyCheck, self._http.post("/policy/check", to_json(ask.PolicyText(text))))

    # --------------------------------------------------------------------------------------------------------------

    def _follow(self, opened: shapes.Promotion, wait: float | None) -> shapes.Promotion:
        if wait is not None:
            opened = wait_until_over(opened, self.promotion, wait)
        return outcome_of(opened) if opened.is_over else opened

    def _heard(self, webhook: str, change: str, events: Iterable[str]) -> hooks.Webhook:
        body = to_json(hooks.EventsAsk(tuple(events)))
        return from_json(hooks.Webhook, self._http.post(f"/webhooks/{_segment(webhook)}/{change}", body))

    def _approval(self, path: str, body: ask.ApprovalAsk | ask.DecisionAsk) -> shapes.ApprovalRequest:
        return from_json(shapes.ApprovalRequest, self._http.post(path, to_json(body)))


def _default_url() -> str:
    tracking = os.environ.get("MLFLOW_TRACKING_URI", "")
    return os.environ.get("LOCKGATE_URL") or (tracking if tracking.startswith(("http://", "https://")) else DEFAULT_URL)


def _segment(id: str) -> str:
    if not id or not all(c.isascii() and (c.isalnum() or c in "-_.") for c in id) or set(id) == {"."}:
        raise BadRequest(f"{id!r} is not an id.", hint="An id is what promote or validate answered.")
    return id
