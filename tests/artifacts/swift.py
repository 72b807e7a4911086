"""A real S3 server for a test run: OpenStack Swift with its S3 API, four processes on free ports, without memcache.

Run as a program it is the server's keeper: it starts it, says where it is, and stops it and deletes its files as soon
as the process that it was told to watch has ended, however that ended.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.databases import server as keeping

START_LIMIT = 60.0
STOP_LIMIT = 10.0
KEY, SECRET, BUCKET, REGION = "test:tester", "testing123", "models", "us-east-1"
_COMMON = """\
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
swift_dir = {folder}
devices = {folder}/srv
mount_check = false
workers = 0
user = {user}
log_level = WARNING
log_address = {folder}/no-syslog-here
recon_cache_path = {folder}/cache
fallocate_reserve = 0
"""
_STORAGE = """
[pipeline:main]
pipeline = {role}-server
[app:{role}-server]
use = egg:swift#{role}
"""
_PROXY = """\
[app:proxy-server]
use = egg:swift#proxy
allow_account_management = true
account_autocreate = true
"""
# the filters in the order in which Swift wants them; memcache listens nowhere, and Swift does without
_FILTERS = {
    "catch_errors": "",
    "cache": "memcache_servers = 127.0.0.1:1",
    "listing_formats": "",
    "s3api": "s3_acl = false\nlocation = us-east-1\nmin_segment_size = 1048576\ncheck_bucket_owner = false",
    "tempauth": "user_test_tester = testing123 .admin .reseller_admin",
    "copy": "",
    "slo": "",
    "dlo": "",
    "versioned_writes": "allow_object_versioning = true",
    "symlink": "",
}
_EGGS = {"cache": "memcache"}
_STORAGE_ROLES = ("account", "container", "object")


class Swift:
    """A server under a folder of its own; `start` makes the bucket, too."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="lockgate-s3-"))
        self.ports = {role: keeping._free_port() for role in (*_STORAGE_ROLES, "proxy")}
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.ports['proxy']}"

    @property
    def log(self) -> str:
        """What its processes have written."""
        return "\n".join(file.read_text(errors="replace") for file in sorted(self.folder.glob("*.log")))

    def start(self) -> None:
        """Start it and wait until it has a bucket."""
        self._configure()
        for role in self.ports:
            self._launch(role)
        give_up = time.monotonic() + START_LIMIT
        while not self._has_bucket():
            if any(process.poll() is not None for process in self._processes) or time.monotonic() > give_up:
                raise RuntimeError(f"Swift does not start:\n{self.log}")
            time.sleep(0.1)

    def destroy(self) -> None:
        """Stop it and delete everything."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                process.wait(STOP_LIMIT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(STOP_LIMIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _configure(self) -> None:
        from swift.common.ring import RingBuilder

        for name in ("srv/d1", "cache"):
            (self.folder / name).mkdir(parents=True)
        hashing = "[swift-hash]\nswift_hash_path_suffix = tests\nswift_hash_path_prefix = tests\n"
        (self.folder / "swift.conf").write_text(f"{hashing}[storage-policy:0]\nname = one\ndefault = yes\n")
        for role in _STORAGE_ROLES:
            ring = RingBuilder(4, 1, 0)
            place = {"ip": "127.0.0.1", "port": self.ports[role], "device": "d1", "meta": ""}
            ring.add_dev({**place, "region": 1, "zone": 1, "weight": 1.0})
            ring.rebalance()
            ring.get_ring().save(str(self.folder / f"{role}.ring.gz"))
            self._write(role, _STORAGE.format(role=role))
        filters = "\n".join(
            f"[filter:{name}]\nuse = egg:swift#{_EGGS.get(name, name)}\n{told}\n" for name, told in _FILTERS.items()
        )
        pipeline = f"[pipeline:main]\npipeline = {' '.join(_FILTERS)} proxy-server\n"
        self._write("proxy", f"{pipeline}{_PROXY}{filters}")

    def _write(self, role: str, told: str) -> None:
        common = _COMMON.format(port=self.ports[role], folder=self.folder, user=getpass.getuser())
        (self.folder / f"{role}.conf").write_text(common + told)

    def _launch(self, role: str) -> None:
        program = Path(sys.executable).with_name(f"swift-{role}-server")
        told = {**os.environ, "SWIFT_DIR": str(self.folder)}
        with (self.folder / f"{role}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, program, self.folder / f"{role}.conf"], stdout=log, stderr=log, env=told,
                stdin=subprocess.DEVNULL, cwd=self.folder, start_new_session=True,
                preexec_fn=keeping._ended_with_us(os.getpid()),
            )  # fmt: skip
            self._processes.append(process)

    def _has_bucket(self) -> bool:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            client(self.endpoint).create_bucket(Bucket=BUCKET)
        except ClientError as refused:
            return refused.response["Error"]["Code"] == "BucketAlreadyOwnedByYou"
        except BotoCoreError:
            return False
        return True


def client(endpoint: str):
    """boto3's client with the server's keys."""
    import boto3
    from botocore.client import Config

    # one attempt: who waits for the server asks again by itself
    config = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, signature_version="s3v4")
    keys = {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET, "region_name": REGION}
    return boto3.client("s3", endpoint_url=endpoint, config=config, **keys)


@contextlib.contextmanager
def running() -> Iterator[Swift]:
    """A server that nothing is left of after the block."""
    made = Swift()
    try:
        made.start()
        yield made
    finally:
        made.destroy()


def main(state: str, watched: str) -> None:
    """Keep a server while that process runs; its address, or why there is none, stands in the file `state`."""
    # nobody's child: the process that happens to ask first may be done long before the run is
    if os.fork():
        os._exit(0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        with running() as made:
            keeping._write(Path(state), {"endpoint": made.endpoint, "keeper": os.getpid()})
            keeping._wait_for_the_end_of(int(watched))
    except (OSError, RuntimeError, subprocess.SubprocessError) as e:
        keeping._write(Path(state), {"error": f"{e}"})


if __name__ == "__main__":
    main(*sys.argv[1:])
