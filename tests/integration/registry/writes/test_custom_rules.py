"""A plain client's transition is judged by custom rules, as the server is wired."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException

from lockgate.domain.identity import Who
from tests.databases.backends import Backend, on_sqlite
from tests.integration.registry.writes.registry import add_models, add_versions, registry

TEN = "[1,2,3,4,5,6,7,8,9,10]"
BOMB = f"{TEN}.map(a,{TEN}.map(b,{TEN}.map(c,{TEN}.map(d,{TEN}.map(e,{TEN}.map(f,a*b)))))).size() > 1"
POLICY = f"""
level: observe
endpoints: {{"*": {{serve: off}}}}
stages:
  Staging:
    rules: [{{name: mine, cel: "tags.team == 'risk'", level: enforce}}]
  Production:
    rules: [{{name: bomb, cel: "{BOMB}", level: enforce}}]
"""


@on_sqlite
def test_a_clients_transition_and_alias_are_refused_by_a_rule_until_it_is_true(
    backend: Backend, tmp_path: Path
) -> None:
    with registry(backend.fresh(), tmp_path / "home", lambda: Who("ann"), policy=POLICY) as here:
        add_models(here.engine, ["fraud"])
        add_versions(here.engine, "fraud", ["None"])
        store = here.store
        for move in (
            lambda: store.transition_model_version_stage("fraud", "1", "Staging", False),
            lambda: store.set_registered_model_alias("fraud", "staging", "1"),
        ):
            with pytest.raises(
                MlflowException, match=r"rule:mine fails: tags.team is not there; there is a"
            ) as refused:
                move()
            assert refused.value.error_code == "PERMISSION_DENIED"
        with pytest.raises(MlflowException, match="took longer than a rule may"):
            store.transition_model_version_stage("fraud", "1", "Production", False)

        with here.engine.begin() as connection:
            connection.exec_driver_sql(
                "INSERT INTO model_version_tags (workspace, name, version, key, value)"
                " VALUES ('default', 'fraud', 1, 'team', 'risk')"
            )
        assert store.transition_model_version_stage("fraud", "1", "Staging", False).current_stage == "Staging"
        here.node.custom.close()
