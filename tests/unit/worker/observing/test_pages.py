"""The pages about metrics name those that are counted, and what is to be imported asks for no others."""

from __future__ import annotations

import json
import re
from pathlib import Path

import yaml

from lockgate.worker.observing.families import COUNTER, FAMILIES, HISTOGRAM, KEPT, PASSED

DOCS = Path(__file__).parents[4] / "docs"
METRIC = re.compile(r"lockgate_[a-z_]+")
WORKERS = "lockgate_workers"


def names() -> set[str]:
    """As they are written where they are looked up."""
    told = {WORKERS}
    for family in FAMILIES:
        if family.kind == HISTOGRAM:
            told |= {f"{family.name}_{part}" for part in ("bucket", "sum", "count")}
        else:
            told.add(f"{family.name}_total" if family.kind == COUNTER else family.name)
    return told


def test_every_metric_has_a_line_and_every_line_a_metric() -> None:
    page = (DOCS / "reference" / "metrics.md").read_text()
    lines = re.findall(r"^\| `(lockgate_\w+)` \| (\w+) \|", page, re.MULTILINE)
    counted = [(f"{each.name}_total" if each.kind == COUNTER else each.name, each.kind) for each in FAMILIES]
    assert sorted(lines) == sorted([(WORKERS, "gauge"), *counted])
    for value in {*KEPT.values, *PASSED.values} - {"other"}:
        assert f"`{value}`" in page


def test_the_dashboard_and_the_alerts_ask_for_what_is_counted() -> None:
    folder = DOCS / "howto" / "monitoring"
    dashboard = json.loads((folder / "grafana-endpoints.json").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    groups = yaml.safe_load((folder / "alerts.yml").read_text())["groups"]
    asked += [rule["expr"] for group in groups for rule in group["rules"]]
    asked += re.findall(
        r"^\| .* \| `(.*lockgate_.*)` \|$", (DOCS / "howto" / "watch-an-endpoint.md").read_text(), re.MULTILINE
    )
    assert len(asked) > 20
    for expression in asked:
        assert set(METRIC.findall(expression)) <= names(), expression
        assert expression.count("(") == expression.count(")")
    scraped = yaml.safe_load((folder / "prometheus.yml").read_text())["scrape_configs"]
    assert [job["static_configs"][0]["targets"] for job in scraped] == [["127.0.0.1:5001"], ["127.0.0.1:5002"]]
