"""Who keeps artifacts on a disk does not pay for S3."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_PIN = """
import sys
from pathlib import Path
from lockgate.adapters.artifacts.pinned import PinnedArtifacts
folder = Path(sys.argv[1])
(folder / "store" / "1" / "a").mkdir(parents=True)
(folder / "store" / "1" / "a" / "MLmodel").write_text("flavors: {}")
PinnedArtifacts(str(folder / "store"), folder / "cache").pin("mlflow-artifacts:/1/a")
print(sorted({"boto3", "botocore", "mlflow", "sqlalchemy"} & sys.modules.keys()))
"""


def test_a_pin_from_the_disk_loads_no_client_of_s3(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PIN, str(tmp_path)], check=True, capture_output=True, text=True, timeout=60
    )

    assert done.stdout.strip() == "[]"
