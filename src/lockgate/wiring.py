"""The one place where adapters meet the use cases: what each process is made of. No logic lives here.

Adapters are imported where they are made, so that a process waits for the libraries of its own parts alone.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from lockgate.domain.errors import BadInput, NotFound

if TYPE_CHECKING:
    from lockgate.adapters.artifacts.pinned import PinnedArtifacts
    from lockgate.adapters.cel.evaluator import CelRules
    from lockgate.adapters.identity.passwords import Argon2Passwords
    from lockgate.adapters.keys.files import FileKeys
    from lockgate.adapters.mlflow.governance import Told
    from lockgate.adapters.predictions.parquet import ParquetPredictions
    from lockgate.adapters.processes.groups import ProcessGroups
    from lockgate.adapters.programs.forking import ForkedPrograms
    from lockgate.adapters.sandbox.measuring import ProcessBench
    from lockgate.adapters.sandbox.process import ProcessSandbox
    from lockgate.adapters.sql.ledger import SqlAgentLedger
    from lockgate.adapters.sql.registry.postgresql import PostgresqlReader
    from lockgate.adapters.sql.registry.sqlite import SqliteReader
    from lockgate.adapters.sql.semver_queue import SqlNumbering
    from lockgate.adapters.sql.sequencing import SqlSequencing
    from lockgate.adapters.sql.store import SqlStore
    from lockgate.adapters.sql.webhooks_queue import SqlDeliveries
    from lockgate.config import Settings
    from lockgate.domain.canonical import Codec
    from lockgate.domain.checkpoints import Signer
    from lockgate.domain.errors import LockgateError
    from lockgate.domain.identity import Who
    from lockgate.domain.keyring import KnownKey
    from lockgate.domain.newcomers import MlflowUser
    from lockgate.domain.policy import Policy
    from lockgate.usecases.anchor_ports import Anchor
    from lockgate.usecases.doctor import Database, KeyFile, Removed
    from lockgate.usecases.mend import Mended
    from lockgate.usecases.ports import Ports
    from lockgate.usecases.webhooks import Post

CONVERTED = "converted"
"""The folder of the home that converted models lie in, named by their digests."""


@dataclass(frozen=True)
class Node:
    """Everything one process on this machine may need, each part made when it is first asked for."""

    settings: Settings
    role: str

    @cached_property
    def store(self) -> SqlStore:
        from lockgate.adapters.sql.engine import make_engine
        from lockgate.adapters.sql.store import SqlStore

        turns = self.settings.home / "turns"
        return SqlStore(make_engine(self.settings.database), self.parse_policy, turns=turns)

    @cached_property
    def reader(self) -> SqliteReader | PostgresqlReader:
        from lockgate.adapters.sql.registry.opening import open_reader

        return open_reader(self.settings.database)

    @cached_property
    def artifacts(self) -> PinnedArtifacts:
        from lockgate.adapters.artifacts.pinned import PinnedArtifacts
        from lockgate.adapters.artifacts.reading import Limits

        limits = Limits(bytes=self.settings.model_limit)
        return PinnedArtifacts(self.settings.artifacts, self.settings.home / "cache", limits=limits)

    @cached_property
    def custom(self) -> CelRules:
        from lockgate.adapters.cel.evaluator import CelRules

        return CelRules()

    @cached_property
    def trial(self) -> CelRules:
        """Evaluates rules that anybody may bring, in one child: promotions never wait for it."""
        from lockgate.adapters.cel.evaluator import CelRules, Limits

        return CelRules(Limits(children=1))

    @cached_property
    def ports(self) -> Ports:
        from lockgate.adapters.sql.queue import SqlQueue
        from lockgate.adapters.system import SortableIds, SystemClock
        from lockgate.usecases.ports import Ports

        return Ports(
            store=self.store,
            queue=SqlQueue(self.store),
            artifacts=self.artifacts,
            clock=SystemClock(),
            ids=SortableIds(),
            owner=f"{self.role}@{socket.gethostname()}:{os.getpid()}",
            started_at=datetime.now(UTC),
            custom=self.custom,
        )

    @cached_property
    def programs(self) -> ForkedPrograms:
        from lockgate.adapters.programs.forking import ForkedPrograms

        return ForkedPrograms(self.settings.home / "run" / "forks")

    @cached_property
    def sandbox(self) -> ProcessSandbox:
        from lockgate.adapters.sandbox.process import ProcessSandbox

        return ProcessSandbox(self.settings.home / "scratch", self.programs)

    @cached_property
    def bench(self) -> ProcessBench:
        from lockgate.adapters.sandbox.measuring import ProcessBench

        home = self.settings.home
        return ProcessBench(home / "scratch", home / CONVERTED, self.programs)

    @cached_property
    def groups(self) -> ProcessGroups:
        from lockgate.adapters.processes.groups import ProcessGroups
        from lockgate.wire.workers import CommonToAll

        told = self.settings
        common = CommonToAll(
            edge=told.edge.value,
            tls_certificate=str(told.serving_tls_certificate or ""),
            tls_key=str(told.serving_tls_key or ""),
            access_log=told.access_log,
            traces=told.traces,
            traces_share=told.traces_share,
            predictions=str(told.home / "predictions"),
            prediction_days=told.prediction_days,
        )
        return ProcessGroups(
            told.home / "run" / "workers",
            self.programs,
            hosts=told.allowed_hosts,
            origins=told.allowed_origins,
            common=common,
            converted=told.home / CONVERTED,
        )

    @cached_property
    def prediction_log(self) -> ParquetPredictions:
        from lockgate.adapters.predictions.parquet import ParquetPredictions

        return ParquetPredictions(self.settings.home / "predictions")

    @cached_property
    def passwords(self) -> Argon2Passwords:
        from lockgate.adapters.identity.passwords import Argon2Passwords

        return Argon2Passwords()

    @cached_property
    def numbering(self) -> SqlNumbering:
        from lockgate.adapters.sql.semver_queue import SqlNumbering

        return SqlNumbering(self.store)

    @cached_property
    def keys(self) -> FileKeys:
        from lockgate.adapters.keys.files import FileKeys

        return FileKeys(self.settings.home, os.environ)

    def anchors(self) -> list[Anchor]:
        """The places outside that checkpoints are written to."""
        from lockgate.adapters.anchors.commits import GitAnchor
        from lockgate.adapters.anchors.files import FileAnchor
        from lockgate.adapters.anchors.objects import S3Anchor
        from lockgate.adapters.artifacts.objects import S3
        from lockgate.domain.anchors import Kind, Place, parse_place
        from lockgate.usecases.anchoring import Webhooks

        def made(place: Place) -> Anchor:
            match place.kind:
                case Kind.FILE:
                    return FileAnchor(Path(place.path))
                case Kind.GIT:
                    return GitAnchor(Path(place.path))
                case Kind.S3:
                    return S3Anchor(place.bucket, place.path, place.lock, S3())
                case Kind.WEBHOOK:
                    return Webhooks(self.ports)
                case other:
                    assert_never(other)

        return [made(parse_place(each)) for each in self.settings.anchors]

    @cached_property
    def sequencing(self) -> SqlSequencing:
        from lockgate.adapters.sql.sequencing import SqlSequencing

        return SqlSequencing(self.store)

    def signer(self) -> Signer:
        """The key that signs checkpoints now. Raises NotFound when there is none, else as FileKeys.load."""
        found = self.keys.load()
        if found is None:
            raise NotFound(f"There is no key at {self.keys.place}.", hint="Start the controller again: it says more.")
        return found

    @cached_property
    def deliveries(self) -> SqlDeliveries:
        from lockgate.adapters.sql.webhooks_queue import SqlDeliveries

        return SqlDeliveries(self.store, workspaces=self.settings.workspaces)

    @cached_property
    def post(self) -> Post:
        """Carries deliveries out. Raises BadInput when there is no good key for their secrets."""
        from lockgate.adapters.keys.webhooks import encryption_key
        from lockgate.adapters.webhooks.sender import HttpSender, schemes
        from lockgate.domain.webhooks import Persistence
        from lockgate.usecases.webhooks import Post

        told = self.settings
        key = encryption_key(told.home, os.environ)
        private = told.webhook_allow_private_ips
        sender = HttpSender(key, timeout=told.webhook_timeout, private=private, schemes=schemes(os.environ))
        persistence = Persistence(told.webhook_attempts, timedelta(hours=told.webhook_give_up_hours))
        return Post(self.ports, self.deliveries, sender, persistence)

    @cached_property
    def ledger(self) -> SqlAgentLedger:
        from lockgate.adapters.sql.ledger import SqlAgentLedger

        return SqlAgentLedger(self.store, agent=socket.gethostname(), host=self.settings.host)

    def parse_policy(self, text: str | None) -> Policy:
        """The policy a text says, None being the built-in one. Raises BadInput listing every fault."""
        return parse_policy(text, self.settings)

    def check_policy(self, text: str | None) -> Policy:
        """As parse_policy, with every custom rule read by the evaluator: for a text that is about to be applied."""
        from lockgate.adapters import policyfile

        return policyfile.parse_policy(text, ports=environment_ports(self.settings), check_rule=self.trial.check)


def parse_policy(text: str | None, settings: Settings, *, name: str = "lockgate.yaml") -> Policy:
    """The policy a text says, on this node's ports unless the text names its own.

    Raises BadInput listing every fault, with `name` for the file's.
    """
    from lockgate.adapters import policyfile

    return policyfile.parse_policy(text, ports=environment_ports(settings), name=name)


def check_policy(text: str, settings: Settings, *, name: str = "lockgate.yaml") -> Policy:
    """As parse_policy, with every custom rule read by the evaluator. Raises BadInput for one that is no CEL too."""
    from lockgate.adapters import policyfile
    from lockgate.adapters.cel.evaluator import CelRules

    rules = CelRules()
    try:
        return policyfile.parse_policy(text, ports=environment_ports(settings), name=name, check_rule=rules.check)
    finally:
        rules.close()


def starter_policy() -> str:
    """The strict policy file to begin with."""
    from lockgate.adapters.policyfile import starter_text

    return starter_text()


def environment_ports(settings: Settings) -> dict[str, int]:
    """The ports of the two built-in environments, which a policy file may overrule."""
    return {"staging": settings.staging_port, "production": settings.production_port}


def artifact_roots(settings: Settings) -> tuple[str, ...]:
    """What the store is called that the server proxies. Raises BadInput for one that cannot be."""
    from lockgate.adapters.artifacts.locations import names_of, root_of

    return names_of(root_of(settings.artifacts))


def prepare(settings: Settings) -> None:
    """Make our tables, or bring them up to date; write down what is there already; index MLflow's tables if there are.

    Raises Conflict where MLflow's tables are none that this release knows, Unavailable without the permissions it
    needs; nothing was changed then.
    """
    from lockgate.adapters.sql import inspecting, mlflow_indexes, schema
    from lockgate.usecases import adopt, doctor

    node = Node(settings, "prepare")
    engine, policy = node.store.engine, read_policy_file(settings)
    try:
        found = inspecting.fitness(engine)
        doctor.require_fit(found)
        schema.prepare(engine)
        adopt.begin(node.ports, policy[1] if policy else None)
        if found.schema is not None and found.schema.state is doctor.State.KNOWN:
            mlflow_indexes.ensure(engine)
    finally:
        engine.dispose()


def ensure_key(settings: Settings, *, signs: bool) -> None:
    """See that this machine's key is on the record, and make the first one where there is none (`signs`).

    Raises Conflict when it is not, BadInput or Unavailable when it cannot be read.
    """
    from lockgate.usecases import keys

    node = Node(settings, "prepare")
    try:
        keys.ensure(node.ports, node.keys, check_signature, signs=signs)
    finally:
        node.store.engine.dispose()


def record_keys(settings: Settings) -> FileKeys:
    """Where this machine's key of the record is."""
    return Node(settings, "keys").keys


def inspect_rules() -> str:
    """Why custom rules cannot be evaluated on this machine; "" where they can. Starts a process for it, and ends it."""
    from lockgate.adapters.cel.evaluator import CelRules
    from lockgate.domain.custom import Seen

    rules = CelRules()
    try:
        result = rules.evaluate({"it": "true"}, Seen({}, {}))["it"]
    finally:
        rules.close()
    return "" if result.value else result.because


def inspect_key(settings: Settings) -> KeyFile:
    """Where this machine's key of the record is, and who could read it. Changes nothing."""
    from lockgate.usecases.doctor import KeyFile

    keys = record_keys(settings)
    return KeyFile(keys.place, keys.path.is_file(), not keys.given and keys.path.is_file(), keys.exposed())


def recover_key(settings: Settings, reason: str) -> KnownKey:
    """Begin anew with this machine's key, on the database itself. Raises Conflict where no key is lost."""
    from lockgate.domain.identity import Who
    from lockgate.usecases import keys

    node = Node(settings, "keys")
    try:
        return keys.recover(node.ports, node.keys, check_signature, Who(settings.user, via="cli"), reason)
    finally:
        node.store.engine.dispose()


def mend_tree(settings: Settings, reason: str) -> Mended:
    """Build what was edited of the record's tree again, on the database itself. Raises Conflict where it cannot be."""
    from lockgate.domain.identity import Who
    from lockgate.usecases import mend

    node = Node(settings, "mend")
    try:
        return mend.mend(node.ports, node.sequencing, check_signature, Who(settings.user, via="cli"), reason)
    finally:
        node.store.engine.dispose()


def fast_json() -> Codec:
    """A quick way to read a million texts and to see that they are in canonical form."""
    import orjson

    from lockgate.domain.canonical import Codec

    return Codec(orjson.loads, lambda value: orjson.dumps(value, option=orjson.OPT_SORT_KEYS))


def check_signature(key: bytes, signature: bytes, message: bytes) -> bool:
    """Whether the public key made that signature of the message."""
    from lockgate.adapters.keys import ed25519

    return ed25519.check(key, signature, message)


def inspect_database(settings: Settings) -> Database:
    """What the database is, seen without changing it. Raises BadInput or Unavailable when it cannot be looked at."""
    from lockgate.adapters.sql import inspecting

    return inspecting.look(settings.database, lambda text: parse_policy(text, settings))


def remove_from_database(settings: Settings) -> Removed:
    """Drop our tables and our indexes on MLflow's, and nothing else. Raises Unavailable when the database is away."""
    from lockgate.adapters.sql import removal

    return removal.remove(settings.database)


def read_mlflow_users(uri: str) -> Sequence[MlflowUser]:
    """The users of MLflow's basic authentication. Raises BadInput, NotFound or Unavailable when they cannot be read."""
    from lockgate.adapters.sql import mlflow_people

    return mlflow_people.read(uri)


def read_policy_file(settings: Settings) -> tuple[str, Policy] | None:
    """The policy file's text and what it says; None without a file. Raises BadInput naming file, line and key."""
    if settings.policy is None:
        return None
    try:
        text = settings.policy.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(
            f"The policy file {settings.policy} cannot be read: {error}.", hint="Name it with --policy."
        ) from None
    return text, check_policy(text, settings)


def refuse_open(settings: Settings) -> None:
    """Raise BadInput when others could reach a server on which nobody has to log in. Looking changes nothing."""
    if not settings.reachable_by or settings.users:
        return
    from lockgate.adapters.sql import people
    from lockgate.config import require_people

    require_people(settings, there_are=people.are_there(settings.database))


def first_admin(settings: Settings, name: str) -> tuple[bool, str | None]:
    """Make the first administrator where `--users` asks for one and there is nobody: whether there are people then.

    And the one-time password of the one that this made.

    The tables must be there. Raises BadInput when there is nobody, and others than this machine could reach the server.
    """
    from lockgate.config import require_people
    from lockgate.usecases import people

    node = Node(settings, "prepare")
    try:
        one_time = people.first_admin(node.ports, node.passwords, name) if settings.users else None
        there_are = one_time is not None or people.any_people(node.ports)
    finally:
        node.store.engine.dispose()
    require_people(settings, there_are=there_are)
    return there_are, one_time


def recover_admin(settings: Settings, name: str, who: Who, reason: str) -> str:
    """A one-time password for an administrator, by the database itself. Raises NotFound where there is no such file or
    nobody called so, Conflict for a database without users or somebody who is no administrator.
    """
    from lockgate.adapters.sql import readonly, schema
    from lockgate.domain.errors import Conflict
    from lockgate.usecases import people

    with readonly.reading(readonly.parse(settings.database)):
        pass  # opening it to write would make a file where there is none
    node = Node(settings, "prepare")
    try:
        if schema.pending(node.store.engine):
            raise Conflict("That database has no users.", hint="Name the one your server uses with --database.")
        return people.recover(node.ports, node.passwords, name, who, reason)
    finally:
        node.store.engine.dispose()


def apply_policy_file(settings: Settings, who: Who) -> Policy | None:
    """Put the policy file in force; None without a file. Raises BadInput and changes nothing when it is broken."""
    read = read_policy_file(settings)
    if read is None:
        return None
    from lockgate.usecases import apply_policy

    node = Node(settings, "prepare")
    try:
        return apply_policy.apply(node.ports, read[0], node.parse_policy, who)
    finally:
        node.store.engine.dispose()


def webhook_environment(settings: Settings) -> dict[str, str]:
    """What MLflow's code reads about webhooks while it is imported: the key of their secrets, and who may be called.

    Raises BadInput for something that is no key, Unavailable when it can be neither read nor made.
    """
    from lockgate.adapters.keys.webhooks import KEY_VARIABLE, encryption_key

    private = "true" if settings.webhook_allow_private_ips else "false"
    return {KEY_VARIABLE: encryption_key(settings.home, os.environ), "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": private}


def govern_registry(
    node: Node,
    *,
    who: Callable[[], Who],
    workspace: Callable[[], str],
    explain: Callable[[LockgateError], Told],
    say: Callable[[str], None],
) -> None:
    """Make MLflow's tables where there are none, and ours, and put the governed store wherever MLflow looks for one.

    Imports MLflow, which takes seconds. Raises Conflict when MLflow's tables are at another revision.
    """
    from lockgate.adapters.mlflow import schema
    from lockgate.adapters.mlflow.governance import Governance
    from lockgate.adapters.mlflow.install import install
    from lockgate.adapters.sql import mlflow_indexes

    prepare(node.settings)
    schema.prepare(node.settings.database, say)
    mlflow_indexes.ensure(node.store.engine)
    node.store.ambient = workspace
    governance = Governance(ports=node.ports, work_on=node.store.work_on, who=who, explain=explain, reader=node.reader)
    install(governance)
