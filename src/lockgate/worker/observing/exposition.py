"""What the workers of one or more groups counted, added up, in Prometheus' text format."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import accumulate
from pathlib import Path

from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.utils import floatToGoString

from lockgate.worker.observing.counts import Told, read
from lockgate.worker.observing.families import COUNTER, GAUGE, HISTOGRAM, Family

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
LABELS = ("environment", "model", "version", "release")
_WORKERS = "Living workers, by the engine that computes their predictions."
Group = tuple[str, ...]


def exposed(folders: Iterable[Path]) -> bytes:
    """The numbers of the groups in these folders. Gauges are those of living workers, the rest of dead ones too."""
    return generate_latest(_Collected([told for folder in folders for told in read(folder)]))


class _Collected:
    """What prometheus-client asks for when it writes its text."""

    def __init__(self, told: list[Told]) -> None:
        self._told = told

    def collect(self) -> Iterator[Metric]:
        """Every metric with the series of every group."""
        yield self._workers()
        sums: dict[Family, dict[Group, list[float]]] = defaultdict(dict)
        for told in self._told:
            for family, numbers in told.numbers.items():
                if family.kind == GAUGE and not told.alive:
                    numbers = [0.0] * family.size
                before = sums[family].get(_group(told))
                sums[family][_group(told)] = list(map(sum, zip(before, numbers, strict=True))) if before else numbers
        for family, groups in sums.items():
            yield _metric(family, groups)

    def _workers(self) -> Metric:
        living: dict[Group, int] = defaultdict(int)
        for told in self._told:
            if told.alive:
                living[*_group(told), told.labels.get("engine", "")] += 1
        metric = GaugeMetricFamily("lockgate_workers", _WORKERS, labels=(*LABELS, "engine"))
        for values, count in sorted(living.items()):
            metric.add_metric(values, count)
        return metric


def _group(told: Told) -> Group:
    return tuple(told.labels.get(name, "") for name in LABELS)


def _metric(family: Family, groups: dict[Group, list[float]]) -> Metric:
    labels = (*LABELS, family.label) if family.label else LABELS
    if family.kind == HISTOGRAM:
        edges = [*map(floatToGoString, family.bounds), "+Inf"]
        histogram = HistogramMetricFamily(family.name, family.help, labels=labels)
        for group, numbers in groups.items():
            counts = accumulate(numbers[:-1])
            histogram.add_metric(group, list(zip(edges, counts, strict=True)), numbers[-1])
        return histogram
    kind = CounterMetricFamily if family.kind == COUNTER else GaugeMetricFamily
    metric = kind(family.name, family.help, labels=labels)
    for group, numbers in groups.items():
        if not family.label:
            metric.add_metric(group, numbers[0])
            continue
        for value, number in zip(family.values, numbers, strict=True):
            if number:  # most statuses are never given
                metric.add_metric((*group, value), number)
    return metric
