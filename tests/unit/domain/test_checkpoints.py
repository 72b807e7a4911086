"""Signed notes, checkpoints and keys as text: exactly what others write and read."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.adapters.keys.ed25519 import Ed25519Signer, check
from lockgate.domain.checkpoints import (
    Checkpoint,
    Note,
    PublicKey,
    SignedCheckpoint,
    proof_bytes,
    proof_texts,
    sign,
    signed,
)
from lockgate.domain.errors import BadInput

# the example of the signed-note format, as every implementation has it
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
SIGNER = Ed25519Signer.make()
POINT = Checkpoint("lockgate/record-1", 17, bytes(range(32)), datetime(2026, 3, 1, 12, tzinfo=UTC))
SIGNED = signed(POINT, SIGNER)
KEY = PublicKey(POINT.origin, SIGNER.key)


def test_a_note_that_another_program_signed_is_read_and_checked() -> None:
    peter = PublicKey.parse(PETER)
    assert str(peter) == PETER
    assert Note.parse(NOTE).signed_by([peter], check) == (peter,)
    assert str(Note.parse(NOTE)) == NOTE
    changed = Note.parse(NOTE.replace("problem", "question"))
    assert changed.signed_by([peter], check) == ()


def test_a_checkpoint_is_origin_size_and_root_and_says_when() -> None:
    assert POINT.text == (
        "lockgate/record-1\n17\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\nat 2026-03-01T12:00:00.000000+00:00\n"
    )
    assert SignedCheckpoint.parse(str(SIGNED.note)) == SIGNED
    assert SIGNED.note.signed_by([KEY], check) == (KEY,)


def test_a_signature_under_another_name_or_by_another_key_counts_for_nothing() -> None:
    stranger = PublicKey(POINT.origin, Ed25519Signer.make().key)
    assert SIGNED.note.signed_by([stranger], check) == ()
    assert SIGNED.note.signed_by([PublicKey("another", SIGNER.key)], check) == ()
    # the line names the right key, and another one signed
    forged = sign(POINT.text, POINT.origin, Ed25519Signer.make()).signatures[0]
    line = replace(forged, id=KEY.id)
    assert Note(POINT.text, (line,)).signed_by([KEY], check) == ()


@given(st.data())
def test_any_changed_letter_of_a_checkpoint_is_found(data: st.DataObject) -> None:
    written = str(SIGNED.note)
    at = data.draw(st.integers(0, len(written) - 1))
    letter = data.draw(st.characters(exclude_categories=["Cs"]).filter(lambda x: x != written[at]))
    try:
        found = SignedCheckpoint.parse(written[:at] + letter + written[at + 1 :])
    except BadInput:
        return
    assert found.note.signed_by([KEY], check) == ()


@given(st.text() | st.binary().map(lambda told: told.decode("latin-1")))
def test_no_text_makes_reading_a_note_or_a_key_stumble(text: str) -> None:
    for read in (SignedCheckpoint.parse, Note.parse, PublicKey.parse, Checkpoint.parse):
        with pytest.raises(BadInput):
            read(text)


@pytest.mark.parametrize(
    "text",
    [
        POINT.text.replace("17", "017"),
        POINT.text.replace("17", "-1"),
        POINT.text.replace("\nat", "\nAt"),
        POINT.text.replace("+00:00", ""),
        POINT.text + "more\n",
        POINT.text.replace("lockgate/record-1", "lockgate record"),
        POINT.text.replace("HB0eHw", "HB0eHw"[::-1]) + "x",
        POINT.text.replace("Hh8=", "Hh9="),
    ],
)
def test_a_checkpoint_has_one_spelling(text: str) -> None:
    with pytest.raises(BadInput):
        Checkpoint.parse(text)


def test_a_key_whose_id_is_not_its_own_is_damaged() -> None:
    with pytest.raises(BadInput, match="damaged"):
        PublicKey.parse(PETER.replace("c74f20a3", "c74f20a4"))


def test_hashes_of_a_proof_survive_being_written() -> None:
    assert proof_bytes(proof_texts([bytes(32), bytes(range(32))])) == (bytes(32), bytes(range(32)))
    for wrong in ["", "AA==", "not base64", proof_texts([bytes(33)])[0]]:
        with pytest.raises(BadInput):
            proof_bytes([wrong])
