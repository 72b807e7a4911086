"""The demo's story: a model from training to Production, a second one that replaces it under load, and the way back."""

from __future__ import annotations

import json
import re
import time

import click

from lockgate.cli.demo_load import Flowers, Load, Tally, ask
from lockgate.cli.demo_stage import MODEL, Scene, StoryFailed, running, scene

LOAD_BEFORE, LOAD_AFTER = 2.0, 2.0
ENTRY = re.compile(r"model:\d+#\d+")


def tell(*, keep: bool) -> bool:
    """Tell the whole story; whether everything came out as promised."""
    click.echo("Lockgate's demo: a model's way to Production and back, in a temporary folder, with real processes.")
    with scene(keep=keep) as place:
        try:
            _tell(place)
        except StoryFailed as failed:
            click.echo(f"\nThe demo FAILED at step {place.step_number}: {failed}", err=True)
            return False
        click.echo(f"Everything checked out, in {time.monotonic() - place.began:.0f} s.")
    return True


def _tell(place: Scene) -> None:
    place.step("Start everything: server, controller and agent, with a policy file that enforces its rules")
    place.say("$ cat lockgate.yaml\n" + (place.folder / "lockgate.yaml").read_text())
    with running(place):
        _refused(place)
        _to_staging(place)
        first = _to_production(place)
        second = _replaced_under_load(place, first)
        _back(place, first, second)
        _audited(place)
        place.step("Stop everything")
        place.say("^C")
    place.say((place.folder / "up.log").read_text().rstrip().splitlines()[-1])


def _refused(place: Scene) -> None:
    place.step("Train a first model with plain MLflow; registering it is all a data scientist does")
    place.python("train", "logistic", MODEL)
    place.lockgate("status")
    place.step("Straight to Production? Refused, with every reason and the command that helps")
    place.lockgate(f"promote {MODEL}@1 --to production", expect=1)
    place.say("An MLflow client that tries the same gets the same answer.")


def _to_staging(place: Scene) -> None:
    place.step("The way to Staging: tags, validation on the version's own files, promotion")
    place.lockgate(f"plan {MODEL}@1 --to staging", expect=1)
    place.python("tag", MODEL, "1", "team=flowers", "validation_status=passed")
    place.lockgate(f"validate {MODEL}@1")
    place.lockgate(f"promote {MODEL}@1 --to staging --reason 'first model' --wait 2m")
    place.lockgate("endpoints")


def _to_production(place: Scene) -> Flowers:
    place.step("What Staging serves is the model's own answer, for every flower of the data set")
    first = _own(place, 1)
    _equal(place, place.staging, first, 1)
    place.step("Production asks for an approval, and nobody approves their own request")
    place.lockgate(f"request {MODEL}@1 --reason 'accurate enough to begin with'")
    place.lockgate("approvals")
    place.lockgate(f"approve {MODEL}@1 --comment 'I like my own work'", expect=1)
    place.lockgate(f"approve {MODEL}@1 --comment 'looked at the evidence'", user="ben")
    place.lockgate(f"promote {MODEL}@1 --to production --reason 'first model' --wait 2m")
    _equal(place, place.production, first, 1)
    place.lockgate(f"status {MODEL}")
    return first


def _replaced_under_load(place: Scene, first: Flowers) -> Flowers:
    place.step("A second version goes the same way")
    place.python("train", "forest", MODEL)
    place.python("tag", MODEL, "2", "team=flowers", "validation_status=passed")
    place.lockgate(f"promote {MODEL}@2 --to staging --reason 'a forest' --wait 2m")
    place.lockgate(f"request {MODEL}@2 --reason 'a forest knows more'")
    _approved_as_planned(place)
    second = _own(place, 2)
    place.step("It takes over Production, blue-green, while clients ask without pause")
    with Load(place.production, {"1": first, "2": second}) as load:
        time.sleep(LOAD_BEFORE)
        place.lockgate("promote --plan plan.json --reason 'a forest' --wait 2m")
        time.sleep(LOAD_AFTER)
    _check_load(place, load.tally)
    _equal(place, place.production, second, 2)
    return second


def _approved_as_planned(place: Scene) -> None:
    place.step("An approval signs a plan; once a part of it is another it is stale, and says which")
    place.lockgate(f"plan {MODEL}@2 --output plan.json", expect=8)
    place.lockgate(f"approvals show {MODEL}@2", user="ben")
    place.lockgate("approve --plan plan.json --comment 'agreed'", user="ben")
    place.python("tag", MODEL, "2", "team=garden")
    said = place.lockgate("promote --plan plan.json", expect=1)
    if "tag team changed from flowers to garden" not in said:
        raise StoryFailed("The refusal was to say that the tag team changed.")
    place.lockgate(f"plan {MODEL}@2 --output plan.json", expect=8)
    place.lockgate("approve --plan plan.json --comment 'agreed, to the new team too'", user="ben")


def _back(place: Scene, first: Flowers, second: Flowers) -> None:
    place.step("It was a mistake: back to the last known good release, again under load")
    with Load(place.production, {"1": first, "2": second}) as load:
        time.sleep(LOAD_BEFORE)
        place.lockgate(f"rollback {MODEL} --reason 'the forest is too slow'")
        time.sleep(LOAD_AFTER)
    _check_load(place, load.tally)
    _equal(place, place.production, first, 1)
    place.lockgate(f"status {MODEL}")


def _audited(place: Scene) -> None:
    place.step("Everything is on the record, and the record proves that nobody edited it")
    place.lockgate(f"audit list --model {MODEL} --limit 8")
    place.lockgate("audit verify")
    place.step("A verdict of the record is judged again, on the evidence and by the policy of its day")
    moves = ENTRY.findall(place.lockgate(f"audit list --model {MODEL} --action version:transitioned --limit 2"))
    if len(moves) != 2:
        raise StoryFailed("The record was to name the entries of the last two moves.")
    place.lockgate(f"audit replay {moves[-1]}")
    _verified_offline(place)


def _verified_offline(place: Scene) -> None:
    place.step(
        "An auditor checks it without the server, with nothing but the public key; one byte is changed, and named"
    )
    keys = place.lockgate("audit key show")
    (place.folder / "public-key.txt").write_text(keys.splitlines()[-1] + "\n")
    place.lockgate("audit export --output record.jsonl")
    place.lockgate("audit verify record.jsonl --key public-key.txt")
    record = (place.folder / "record.jsonl").read_text(encoding="utf-8")
    line = next(line for line in record.splitlines() if '\\"action\\":\\"approval:approved\\"' in line)
    entry = json.loads(line)
    place.say('$ sed \'s/"ben"/"bea"/\' record.jsonl   (who approved? one letter, in one entry)')
    forged = line.replace('\\"ben\\"', '\\"bea\\"', 1)
    (place.folder / "forged.jsonl").write_text(record.replace(line, forged), encoding="utf-8")
    said = place.lockgate("audit verify forged.jsonl --key public-key.txt", expect=1)
    named = f"{entry['chain']}#{entry['number']}"
    if forged == line or named not in said:
        raise StoryFailed(f"The check was to name {named}, whose approver was changed.")


def _own(place: Scene, version: int) -> Flowers:
    answers = place.folder / f"own-{version}.json"
    place.python("predict", MODEL, str(version), answers.name)
    return Flowers.read(answers.read_text())


def _equal(place: Scene, port: int, own: Flowers, version: int) -> None:
    """Raises StoryFailed when the endpoint does not say of every flower what the model itself says."""
    place.say(
        f"$ curl localhost:{port}/invocations -H 'Content-Type: application/json' -d '{{\"dataframe_split\": …}}'"
    )
    try:
        predictions, served = ask(port, own.question(own.rows))
    except (OSError, ValueError, KeyError) as error:
        raise StoryFailed(f"Port {port} did not answer: {error}") from None
    if served != str(version) or predictions != list(own.predictions):
        raise StoryFailed(f"Port {port} answered with version {served}, expected the predictions of version {version}.")
    place.say(f"{len(predictions)} predictions by version {served}, every one equal to the model's own.\n")


def _check_load(place: Scene, tally: Tally) -> None:
    """Raises StoryFailed when a request failed, got another version's answer, or when only one version was seen."""
    seen = ", ".join(f"version {version}: {count:,}" for version, count in sorted(tally.answers.items()))
    place.say(f"{tally.requests:,} requests, {tally.failures.total()} failed, {tally.wrong} wrong ({seen}).\n")
    if tally.failures or tally.wrong or set(tally.answers) != {"1", "2"}:
        raise StoryFailed(f"The swap was to fail no request and to be seen by the clients: {dict(tally.failures)}")
