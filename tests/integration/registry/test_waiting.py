"""A rollout that goes on longer than a client waits: told as a conflict, joined by a repeat, guarded meanwhile."""

from __future__ import annotations

import time

import requests
from mlflow import MlflowClient

from tests.integration.registry.conftest import add_version
from tests.integration.registry.servers import server


def test_a_promotion_that_goes_on_is_a_conflict_that_names_it_and_a_repeat_joins_it(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    # there is no controller and no agent here, so nothing ever becomes healthy
    with server(tmp_path) as running:
        client = MlflowClient(running.url, running.url)
        client.create_registered_model("fraud")
        for _ in range(2):
            add_version(client, "fraud")

        def send(method: str, route: str, **told: str) -> requests.Response:
            return requests.request(method, f"{running.url}/api/2.0/mlflow/{route}", json=told, timeout=30)

        began = time.monotonic()
        first = send("POST", "model-versions/transition-stage", name="fraud", version="1", stage="Staging")
        print(f"answered after {time.monotonic() - began:.1f} s")
        assert (first.status_code, first.json()["error_code"]) == (409, "RESOURCE_CONFLICT"), first.text
        promotion = first.json()["lockgate"]["promotion"]
        assert promotion in first.json()["message"]
        assert "lockgate rollout status fraud" in first.json()["message"]
        assert client.get_model_version("fraud", "1").current_stage == "None"

        again = send("POST", "registered-models/alias", name="fraud", version="1", alias="staging")
        assert again.json()["lockgate"]["promotion"] == promotion

        for refused in (
            send("POST", "model-versions/transition-stage", name="fraud", version="2", stage="Staging"),
            send("DELETE", "model-versions/delete", name="fraud", version="1"),
            send("DELETE", "registered-models/delete", name="fraud"),
            send("POST", "registered-models/rename", name="fraud", new_name="scam"),
        ):
            assert (refused.status_code, refused.json()["error_code"]) == (409, "RESOURCE_CONFLICT"), refused.text
        assert client.get_model_version("fraud", "1").current_stage == "None"
