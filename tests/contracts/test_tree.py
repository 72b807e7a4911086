"""What the record's tree promises on both databases: every entry one position, and whatever is edited is named."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from sqlalchemy import bindparam, text

from lockgate.adapters.keys.ed25519 import Ed25519Signer, check
from lockgate.adapters.sql.queue import SqlQueue
from lockgate.adapters.sql.sequencing import SqlSequencing
from lockgate.adapters.sql.store import SqlStore
from lockgate.adapters.system import SortableIds
from lockgate.controller import sequencing
from lockgate.domain import proofs
from lockgate.domain.audit import SYSTEM
from lockgate.domain.canonical import canonical
from lockgate.domain.checkpoints import proof_bytes
from lockgate.domain.errors import BadInput, Conflict, NotFound
from lockgate.domain.identity import Who
from lockgate.domain.merkle import goes_on
from lockgate.domain.verification import Proved, Verification
from lockgate.testing.artifacts import ArtifactsInMemory
from lockgate.usecases import export, keys, mend, sequence
from lockgate.usecases.ports import Ports
from lockgate.usecases.sequence import root_of
from lockgate.usecases.verify_record import Checked, verify
from tests.contracts.databases import Mlflow
from tests.contracts.makers import HandClock, entry, later
from tests.databases.backends import on_postgresql, on_sqlite


class KeyInHand:
    """`Keys` without a file."""

    place = "the test's hand"

    def __init__(self) -> None:
        self.signer: Ed25519Signer | None = None

    def load(self) -> Ed25519Signer | None:
        return self.signer

    def make(self) -> Ed25519Signer:
        self.signer = self.signer or Ed25519Signer.make()
        return self.signer


class Sequenced:
    """A record with its key, and a controller's steps on it."""

    def __init__(self, store: SqlStore, clock: HandClock) -> None:
        self.store, self.clock = store, clock
        self.keys = KeyInHand()
        self.ports = Ports(store, SqlQueue(store), ArtifactsInMemory(), clock, SortableIds(), "first", clock.now())
        self.sequencing = SqlSequencing(store)

    def start(self) -> None:
        keys.ensure(self.ports, self.keys, check, signs=True)

    def write(self, model: str, many: int = 1) -> None:
        with self.store.writing(model or None) as work:
            for number in range(many):
                work.record.write(entry(f"act:{'abcdefghij'[number % 10]}", model, at=later(seconds=number)))

    def grow(self, owner: str = "first") -> int:
        placed = 0
        while self.sequencing.waits(thorough=True):
            more = sequence.grow(self.sequencing, owner)
            placed += more
            if not more:
                break
        return placed

    def sign(self, owner: str = "first") -> int:
        assert self.keys.signer is not None
        made = sequence.sign(self.store, self.sequencing, self.keys.signer, check, owner, self.clock.now())
        return made.size if made else 0

    def verify(self) -> Checked:
        with self.store.reading() as work:
            return verify(work, check)

    def exported(self) -> list[bytes]:
        return list(export.lines(self.store, check, self.clock.now()))

    def positions(self) -> list[tuple[int, str, int]]:
        with self.store.reading() as work:
            found = work.tree.placed(0, work.tree.size())
        return [(each.position or 0, each.linked.chain, each.linked.number) for each in found]


@pytest.fixture
def record(store: SqlStore, mlflow: Mlflow, clock: HandClock) -> Sequenced:
    """Two models, and a key on the record."""
    for model in ("fraud", "theft"):
        mlflow.model(model)
    made = Sequenced(store, clock)
    made.start()
    return made


@pytest.fixture
def signed(record: Sequenced) -> Sequenced:
    """Eleven entries in three chains, under four checkpoints."""
    for model, many in (("fraud", 4), ("theft", 2), ("fraud", 3)):
        record.write(model, many)
        record.grow()
        record.sign()
    record.write("theft")
    record.grow()
    record.sign()
    return record


def proved(lines: list[bytes]) -> Proved:
    checking = Verification(check)
    for line in lines:
        checking.take(line)
    return checking.finish()


# --- growing ----------------------------------------------------------------------------------------------------------


def test_every_entry_gets_the_next_position_in_the_order_of_its_chain(signed: Sequenced) -> None:
    places = signed.positions()
    assert [position for position, _, _ in places] == list(range(11))
    for chain, many in ((SYSTEM, 1), ("model:1", 7), ("model:2", 3)):
        assert [number for _, name, number in places if name == chain] == list(range(1, many + 1))
    assert signed.verify().count == 0
    assert signed.grow() == 0
    assert signed.sign() == 0


@on_sqlite
def test_a_change_costs_its_transaction_nothing_for_the_tree(record: Sequenced) -> None:
    record.write("fraud")
    with record.store.reading() as work:
        assert work.tree.size() == 0
        assert work.tree.position("model:1", 1) is None


def test_the_first_checkpoint_covers_the_entry_that_names_its_key(record: Sequenced) -> None:
    assert record.sign() == 0
    record.grow()
    assert record.sign() == 1
    with record.store.reading() as work:
        found = export.newest_checkpoint(work)
    assert found is not None
    assert found.checkpoint.at == record.clock.now()


@on_postgresql
def test_an_entry_that_commits_long_after_later_ones_gets_its_position_too(record: Sequenced) -> None:
    with record.store.writing("theft") as late:
        chain = late.record.write(entry("act:late", "theft")).chain
        late.record.flush()  # numbered, and not committed
        record.write("fraud", 1_200)
        assert record.grow() == 1_201
    assert record.sequencing.waits(thorough=True)
    assert record.grow() == 1
    assert record.positions()[-1] == (1_201, chain, 1)
    assert record.verify().count == 0


def test_two_controllers_at_once_never_give_one_position_twice(record: Sequenced) -> None:
    record.write("fraud", 60)
    others = [SqlSequencing(record.store) for _ in range(3)]
    failed: list[BaseException] = []

    def work(owner: str, mine: SqlSequencing) -> None:
        try:
            for _ in range(20):
                sequence.grow(mine, owner, most=3)
        except BaseException as error:  # noqa: BLE001 - told by the test
            failed.append(error)

    threads = [threading.Thread(target=work, args=(f"controller-{n}", each)) for n, each in enumerate(others)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []
    with record.store.reading() as seen:
        before = seen.tree.size()
    assert before >= 60
    record.clock.at += timedelta(seconds=10)
    record.grow()
    assert [position for position, _, _ in record.positions()] == list(range(61))
    assert record.verify().count == 0


def test_what_many_write_at_once_gets_its_positions_while_two_controllers_are_at_it(
    record: Sequenced, mlflow: Mlflow, rounds: Callable[[int, int], int]
) -> None:
    each, models = rounds(15, 300), [f"model-{n}" for n in range(4)]
    for model in models:
        mlflow.model(model)
    over = threading.Event()
    failed: list[BaseException] = []

    def write(model: str) -> None:
        for _ in range(each):
            record.write(model, 2)

    def place(owner: str, mine: SqlSequencing) -> None:
        while not over.is_set():
            sequence.grow(mine, owner, most=7)
            record.clock.at += timedelta(seconds=3)  # leases end all the time

    def guarded(work: Callable[..., None], *told: object) -> None:
        try:
            work(*told)
        except BaseException as error:  # noqa: BLE001 - told by the test
            failed.append(error)

    writers = [threading.Thread(target=guarded, args=(write, model)) for model in models]
    placers = [
        threading.Thread(target=guarded, args=(place, f"controller-{n}", SqlSequencing(record.store))) for n in range(2)
    ]
    for thread in (*placers, *writers):
        thread.start()
    for thread in writers:
        thread.join(90)
    over.set()
    for thread in placers:
        thread.join(30)
    record.clock.at += timedelta(seconds=10)
    record.grow()
    assert failed == []
    assert record.sign() == 1 + 2 * each * len(models)
    found = record.verify()
    assert (found.count, found.size) == (0, 1 + 2 * each * len(models))
    assert proved(record.exported()).holds


def test_another_controller_goes_on_when_the_lease_is_over_and_not_before(record: Sequenced) -> None:
    assert record.grow("first") == 1
    record.write("fraud")
    assert record.grow("second") == 0
    assert record.sign("second") == 0
    record.clock.at += timedelta(seconds=6)
    assert record.grow("second") == 1
    assert record.grow("first") == 0
    assert record.sign("second") == 2


def test_a_clock_that_goes_backwards_holds_nobody_up_and_breaks_nothing(signed: Sequenced) -> None:
    signed.clock.at -= timedelta(days=400)
    with signed.store.writing("fraud") as work:
        work.record.write(entry("act:past", "fraud", at=signed.clock.now()))
    # the lease of a controller that was killed ends in four hundred days, by this clock
    assert signed.grow("second") == 1
    assert signed.sign("second") == 12
    assert signed.verify().count == 0
    assert proved(signed.exported()).holds


@on_sqlite
def test_a_controller_places_what_waits_in_one_look_and_signs_now_and_then(
    record: Sequenced, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(sequencing, "monotonic", lambda: now)
    controller = sequencing.Sequencer(record.ports, record.sequencing, record.keys.make, check)

    def seen() -> tuple[int, int]:
        with record.store.reading() as work:
            newest = work.tree.newest()
            return work.tree.size(), newest.size if newest else 0

    record.write("fraud", 2 * sequence.AT_ONCE)
    controller.look()
    assert seen() == (1_001, 1_001)
    record.write("fraud")
    controller.look()
    assert seen() == (1_002, 1_001)
    now += sequencing.SIGN_SECONDS
    controller.look()
    assert seen() == (1_002, 1_002)
    record.write("fraud")
    controller.finish()
    assert seen() == (1_003, 1_003)


class Killed(BaseException):
    """The process is gone."""


@contextmanager
def killed_at(name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The process ends just before it does that."""
    from lockgate.adapters.sql.sequencing import _Growth

    def gone(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(_Growth, name, gone)
        yield


@on_sqlite
@pytest.mark.parametrize("step", ["waiting", "nodes", "add", "close"])
def test_a_controller_killed_between_any_two_steps_leaves_a_tree_that_goes_on(
    record: Sequenced, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    record.grow()
    record.write("fraud", 5)
    with killed_at(step, monkeypatch), pytest.raises(Killed):
        sequence.grow(record.sequencing, "first")
    with record.store.reading() as work:
        assert work.tree.size() == 1
    assert record.grow("first") == 5
    assert record.sign() == 6
    assert record.verify().count == 0


# --- proofs -----------------------------------------------------------------------------------------------------------


def test_each_entry_is_proved_by_a_small_file_of_its_own(signed: Sequenced) -> None:
    for _, chain, number in signed.positions():
        found = proofs.verify(canonical(export.prove(signed.store, check, chain, number)), check)
        assert (found.linked.chain, found.linked.number, found.checkpoint.checkpoint.size) == (chain, number, 11)


@on_sqlite
def test_an_entry_without_a_checkpoint_is_not_proved_yet_and_one_that_is_none_never(signed: Sequenced) -> None:
    signed.write("fraud")
    with pytest.raises(Conflict, match="No checkpoint covers model:1#8 yet"):
        export.prove(signed.store, check, "model:1", 8)
    signed.grow()
    with pytest.raises(Conflict, match="yet"):
        export.prove(signed.store, check, "model:1", 8)
    with pytest.raises(NotFound, match="no entry model:1#99"):
        export.prove(signed.store, check, "model:1", 99)


@on_sqlite
def test_each_checkpoint_goes_on_from_those_before_it(signed: Sequenced) -> None:
    with signed.store.reading() as work:
        roots = {size: root_of(work.tree, size) for size in range(12)}
    for second in range(12):
        for first in range(second + 1):
            found = export.consistency(signed.store, first, second)
            assert goes_on(first, roots[first], second, roots[second], found.proof)
    with pytest.raises(BadInput, match="no proof from size 3 to 12"):
        export.consistency(signed.store, 3, 12)


def test_an_export_proves_itself_and_holds_what_has_no_position_yet(signed: Sequenced) -> None:
    assert proved(signed.exported()).holds
    signed.write("theft", 2)
    found = proved(signed.exported())
    assert (found.holds, found.entries, found.size, found.after) == (True, 13, 11, 2)
    signed.grow()
    found = proved(signed.exported())
    assert (found.holds, found.entries, found.size, found.after) == (True, 13, 11, 2)


@on_sqlite
def test_a_proof_that_was_changed_proves_nothing(signed: Sequenced) -> None:
    told = export.prove(signed.store, check, "model:1", 3)
    assert isinstance(told, dict)
    for changed in (
        {**told, "entry": {**told["entry"], "position": 4}},
        {**told, "entry": {**told["entry"], "text": told["entry"]["text"].replace("ann", "eve")}},
        {**told, "proof": told["proof"][:-1]},
        {**told, "checkpoint": told["checkpoint"].replace("at 2026", "at 2027")},
    ):
        with pytest.raises(ValueError, match=r"checkpoint|tree|hash"):
            proofs.verify(canonical(changed), check)
    with pytest.raises(BadInput):
        proofs.verify(canonical({**told, "proof": ["x"]}), check)
    assert proof_bytes(told["proof"])


# --- edited behind the server -----------------------------------------------------------------------------------------


def forge(record: Sequenced, sql: str, **values: object) -> None:
    """What somebody with the database can do."""
    with record.store.changing() as work:
        work.connection.execute(text(sql).bindparams(*(bindparam(name, value) for name, value in values.items())))


EDITS: dict[str, tuple[str, dict[str, object], tuple[str, int | None, int | None]]] = {
    "text": (
        "UPDATE lockgate_audit SET text = replace(text, '\"ann\"', '\"eve\"') WHERE chain = 'model:1' AND number = 2",
        {},
        ("model:1", 2, None),
    ),
    "column": (
        "UPDATE lockgate_audit SET model = 'theft' WHERE chain = 'model:1' AND number = 2",
        {},
        ("model:1", 2, None),
    ),
    "hash": (
        "UPDATE lockgate_audit SET hash = 'sha256:0' WHERE chain = 'model:1' AND number = 2",
        {},
        ("model:1", 2, 2),
    ),
    "head": ("UPDATE lockgate_chains SET number = 6 WHERE chain = 'model:1'", {}, ("model:1", 7, None)),
    "dropped": ("DELETE FROM lockgate_audit WHERE chain = 'model:1' AND number = 2", {}, ("model:1", 2, None)),
    "leaf": ("UPDATE lockgate_leaves SET hash = :it WHERE position = 4", {"it": bytes(32)}, ("model:1", 4, 4)),
    "leaf dropped": ("DELETE FROM lockgate_leaves WHERE position = 4", {}, ("", 0, 4)),
    "leaf added": ("INSERT INTO lockgate_leaves VALUES (11, 999, :it)", {"it": bytes(32)}, ("", 0, 11)),
    "node": ("UPDATE lockgate_nodes SET hash = :it WHERE place = 3", {"it": bytes(32)}, ("", 0, 0)),
    "node dropped": ("DELETE FROM lockgate_nodes WHERE place = 5", {}, ("", 0, 2)),
    "node added": ("INSERT INTO lockgate_nodes VALUES (99, :it)", {"it": bytes(32)}, ("", 0, 48)),
    "size": ("UPDATE lockgate_tree SET size = 8", {}, ("", 0, 8)),
    "checkpoint": (
        "UPDATE lockgate_checkpoints SET note = replace(note, 'at 2', 'at 1') WHERE size = 7",
        {},
        ("", 0, 6),
    ),
    "checkpoint moved": ("UPDATE lockgate_checkpoints SET size = 8 WHERE size = 7", {}, ("", 0, 7)),
}


class Undone(Exception):
    """Leaves the database as it was."""


def test_a_database_edited_behind_the_server_is_found_and_the_place_named(signed: Sequenced) -> None:
    missed = {}
    for edit, (sql, values, place) in EDITS.items():
        with contextlib.suppress(Undone), signed.store.changing() as work:
            work.connection.execute(text(sql).bindparams(*(bindparam(name, value) for name, value in values.items())))
            found = verify(work, check)
            if place not in [(each.chain, each.number, each.position) for each in found.breaks]:
                missed[edit] = found.breaks
            raise Undone
    assert missed == {}
    assert signed.verify().count == 0


def test_an_entry_rewritten_with_hash_links_leaves_and_nodes_is_found_by_its_checkpoint(signed: Sequenced) -> None:
    """All that somebody without the key can make fit."""
    with signed.store.changing() as work:
        rows = work.connection.exec_driver_sql("SELECT id, hash FROM lockgate_audit WHERE chain = 'system'").all()
        assert len(rows) == 1
        for table in ("leaves", "nodes"):
            work.connection.exec_driver_sql(f"DELETE FROM lockgate_{table}")
        work.connection.exec_driver_sql("UPDATE lockgate_tree SET size = 0, seen = 0")
        plain = work.record.read(model="fraud", limit=7)[0]
        forged = canonical({**plain.plain, "reason": "always so"}).decode()
        from lockgate.domain.canonical import digest_of

        values = {"text": forged, "hash": digest_of(forged.encode())}
        work.connection.execute(
            text("UPDATE lockgate_audit SET text = :text, hash = :hash WHERE chain = 'model:1' AND number = 7"), values
        )
        work.connection.execute(text("UPDATE lockgate_chains SET hash = :hash WHERE chain = 'model:1'"), values)
    signed.grow()
    found = signed.verify()
    assert [(each.position, "was replaced" in each.because) for each in found.breaks] == [(7, True)]
    assert found.size == 7


@on_sqlite
@pytest.mark.parametrize("edit", ["node dropped", "node", "leaf added", "node added", "checkpoint"])
def test_no_tree_that_was_edited_is_grown_wrongly_or_signed(signed: Sequenced, edit: str) -> None:
    edits = {**EDITS, "node dropped": ("DELETE FROM lockgate_nodes WHERE place = 7", {}, ("", 0, 0))}
    edits["node"] = ("UPDATE lockgate_nodes SET hash = :it WHERE place = 7", {"it": bytes(32)}, ("", 0, 0))
    edits["node added"] = ("INSERT INTO lockgate_nodes VALUES (21, :it)", {"it": bytes(32)}, ("", 0, 0))
    edits["checkpoint"] = ("UPDATE lockgate_checkpoints SET note = 'x' WHERE size = 11", {}, ("", 0, 0))
    sql, values, _ = edits[edit]
    forge(signed, sql, **values)
    signed.write("fraud", 2)

    def go_on() -> None:
        signed.grow()
        signed.sign()

    with pytest.raises(Conflict, match="was edited past Lockgate"):
        go_on()
    with signed.store.reading() as work:
        newest = work.tree.newest()
    assert newest is not None
    assert newest.size == 11


@on_sqlite
def test_what_follows_from_the_entries_is_built_again_and_nothing_else(signed: Sequenced) -> None:
    who = Who("ann", via="cli")
    mendable = ("leaf", "leaf added", "node", "node dropped", "node added")
    for edit in mendable:
        sql, values, _ = EDITS[edit]
        forge(signed, sql, **values)
    done = mend.mend(signed.ports, signed.sequencing, check, who, "somebody was in the database")
    assert (done.leaves, done.nodes) == (2, 3)
    assert signed.verify().count == 0
    with signed.store.reading() as work:
        assert [each.plain["detail"] for each in work.record.read(action="record:mended")] == [
            {"leaves": 2, "nodes": 3}
        ]
    assert mend.mend(signed.ports, signed.sequencing, check, who, "again") == mend.Mended(0, 0)
    assert signed.grow() == 1
    assert signed.sign() == 12
    for edit in ("hash", "dropped", "leaf dropped", "checkpoint", "checkpoint moved"):
        sql, values, _ = EDITS[edit]
        with contextlib.suppress(Undone), signed.store.changing() as work:
            work.connection.execute(text(sql).bindparams(*(bindparam(name, value) for name, value in values.items())))
            with pytest.raises(Conflict, match="cannot be built again"):
                mend.compare(work.tree, work.tree.size(), keys.ring(work, check).active, check)
            raise Undone
    with pytest.raises(BadInput, match="needs a reason"):
        mend.mend(signed.ports, signed.sequencing, check, who, " ")
    other = Ports(
        signed.store,
        signed.ports.queue,
        signed.ports.artifacts,
        signed.clock,
        SortableIds(),
        "other",
        signed.clock.now(),
    )
    with pytest.raises(Conflict, match="at this moment"):
        mend.mend(other, signed.sequencing, check, who, "while the controller runs")


def test_a_dropped_entry_does_not_hold_up_those_that_come_after_it(record: Sequenced) -> None:
    record.write("fraud", 3)
    forge(record, "DELETE FROM lockgate_audit WHERE chain = 'model:1' AND number = 2")
    assert record.grow() == 3
    assert not record.sequencing.waits(thorough=True)
    record.write("fraud")
    assert record.grow() == 1


# --- keys -------------------------------------------------------------------------------------------------------------


@on_sqlite
def test_the_key_is_on_the_record_and_stays_the_same_over_starts(record: Sequenced) -> None:
    again = keys.ensure(record.ports, record.keys, check, signs=True)
    assert again is not None
    with record.store.reading() as work:
        assert [x.plain["after"] for x in work.record.read(action="key:added")] == [again.public.id]


@on_sqlite
def test_a_machine_whose_key_is_not_on_the_record_does_not_start(record: Sequenced) -> None:
    stranger = KeyInHand()
    for signs in (True, False):
        if not signs:
            stranger.make()
        with pytest.raises(Conflict, match="is not on the record"):
            keys.ensure(record.ports, stranger, check, signs=signs)
    assert keys.ensure(record.ports, KeyInHand(), check, signs=False) is None


@on_sqlite
def test_a_known_key_vouches_for_another_and_nothing_else_does(record: Sequenced) -> None:
    from lockgate.domain.checkpoints import PublicKey

    other = KeyInHand()
    with record.store.reading() as work:
        ring = keys.ring(work, check)
    new = PublicKey(ring.origin, other.make().key)
    who = Who("ann", via="test")
    forged = keys.vouch(ring, record.keys.make(), PublicKey(ring.origin, Ed25519Signer.make().key))
    with pytest.raises(BadInput, match="No key that was known then vouches"):
        keys.add(record.ports, who, str(new), forged, "", check)
    with pytest.raises(Conflict, match="not in use"):
        keys.vouch(ring, other.make(), new)
    keys.add(record.ports, who, str(new), keys.vouch(ring, record.keys.make(), new), "a second machine", check)
    mine = keys.ensure(record.ports, other, check, signs=True)
    assert mine is not None
    assert mine.vouched_by == ring.keys[0].public.id


@on_sqlite
def test_a_retired_key_stops_its_machine_and_the_last_one_stays(record: Sequenced) -> None:
    from lockgate.domain.checkpoints import PublicKey

    who = Who("ann", via="test")
    with record.store.reading() as work:
        ring = keys.ring(work, check)
    first = ring.keys[0].public
    with pytest.raises(Conflict, match="only key in use"):
        keys.retire(record.ports, who, first.id, "", check)
    new = PublicKey(ring.origin, Ed25519Signer.make().key)
    keys.add(record.ports, who, str(new), keys.vouch(ring, record.keys.make(), new), "", check)
    keys.retire(record.ports, who, first.id, "stolen", check)
    with pytest.raises(Conflict, match="was retired"):
        keys.ensure(record.ports, record.keys, check, signs=True)
    record.grow()
    with pytest.raises(Conflict, match="not on the record, or was retired"):
        record.sign()
    with pytest.raises(NotFound):
        keys.retire(record.ports, who, "00000000", "", check)


@on_sqlite
def test_a_lost_key_is_recovered_once_and_visibly(record: Sequenced) -> None:

    who = Who("ann", via="cli")
    with pytest.raises(Conflict, match="nothing has to be recovered"):
        keys.recover(record.ports, record.keys, check, who, "oops")
    record.keys = KeyInHand()
    found = keys.recover(record.ports, record.keys, check, who, "the disk is gone")
    assert found.arrival == "recovered"
    record.grow()
    assert record.sign() == 2
    assert record.verify().count == 0


@on_sqlite
def test_a_key_written_into_the_database_without_a_voucher_is_named_and_signs_nothing(record: Sequenced) -> None:
    from lockgate.domain.checkpoints import PublicKey

    with record.store.reading() as work:
        origin = keys.ring(work, check).origin
    thief = KeyInHand()
    with record.store.writing(None) as work:
        work.record.write(entry("key:added", "", detail={"key": str(PublicKey(origin, thief.make().key))}))
    with pytest.raises(Conflict, match="not on the record"):
        keys.ensure(record.ports, thief, check, signs=True)
    found = record.verify()
    assert [(each.chain, each.number) for each in found.breaks] == [(SYSTEM, 2)]
