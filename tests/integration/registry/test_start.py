"""How the server starts, fails to start, and stops."""

from __future__ import annotations

import contextlib
import socket
import sqlite3

import requests

from tests.integration.registry.servers import free_port, server, spawn, stop, until_answers


def test_a_stop_is_no_accident(tmp_path):
    running = spawn(tmp_path, port=free_port())
    try:
        until_answers(running, "/health")
        assert requests.get(f"{running.url}/health", timeout=10).text == "OK"
        until_answers(running, "/ready")
    finally:
        code = stop(running)
    assert (code, "Traceback" in running.log.read_text()) == (0, False)


def test_tables_of_another_mlflow_stop_the_start_with_the_reason(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    with contextlib.closing(sqlite3.connect(home / "lockgate.db")) as database:
        database.execute("CREATE TABLE alembic_version (version_num VARCHAR(32))")
        database.execute("CREATE TABLE registered_models (name VARCHAR(256))")
        database.execute("INSERT INTO alembic_version VALUES ('2b4d017a5e9b')")
        database.commit()
    running = spawn(tmp_path, port=free_port())
    try:
        assert running.process.wait(90) == 1
    finally:
        stop(running)
    said = running.log.read_text()
    assert "2b4d017a5e9b" in said
    assert "mlflow db upgrade" in said
    assert "Traceback" not in said


def test_a_taken_port_is_named(tmp_path):
    with contextlib.closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        running = spawn(tmp_path, port=port)
        try:
            assert running.process.wait(60) == 1
        finally:
            stop(running)
    said = running.log.read_text()
    assert f"Port {port}" in said
    assert "Traceback" not in said


def test_several_processes_share_one_port_and_one_record(tmp_path):
    with server(tmp_path, workers=2) as running:
        url = f"{running.url}/api/2.0/mlflow/registered-models/create"
        for number in range(10):
            assert requests.post(url, json={"name": f"m{number}"}, timeout=90).status_code == 200
        answer = requests.get(f"{running.url}/api/lockgate/v1/audit/verify", timeout=90).json()
        assert answer["breaks"] == []
    assert running.process.returncode == 0
