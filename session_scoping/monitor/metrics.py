"""Figures for machines, by prometheus_client and OpenTelemetry's API if installed.

The figures are made when they are asked for, so that they cost a request nothing.
"""

import typing as t
from importlib.util import find_spec

from session_scoping.monitor import connections
from session_scoping.monitor.safety import guarded
from session_scoping.monitor.safety import Part
from session_scoping.monitor.state import App

PREFIX = "session_scoping"
Values = t.Iterator[tuple[tuple[str, ...], float]]  # each with its labels


class Figure(t.NamedTuple):
    """A figure, and its values by their labels."""

    name: str
    says: str
    counts: bool  # does it only grow?
    labels: tuple[str, ...]
    values: t.Callable[[t.Iterable[App]], Values]


def _findings(apps: t.Iterable[App]) -> Values:
    for app in apps:
        for source in app.findings.sources:
            found = source.finding
            yield (app.name, found.rule, found.source), source.count


def _sessions(apps: t.Iterable[App]) -> Values:
    yield (), sum(each.session for each in connections.holding())


def _connections(apps: t.Iterable[App]) -> Values:
    yield (), len(connections.holding())


def _held(apps: t.Iterable[App]) -> Values:
    yield (), max((each.age for each in connections.holding()), default=0.0)


def _pool(apps: t.Iterable[App]) -> Values:
    for number, pool in connections.pools().items():
        size, used = connections.usage(pool)
        if size is not None:
            yield (str(number), "in use"), used
            yield (str(number), "free"), size - used


FIGURES = (
    Figure(
        "findings",
        "What strays, by rule and source.",
        True,
        ("app", "rule", "source"),
        _findings,
    ),
    Figure("open_sessions", "Sessions that hold a connection.", False, (), _sessions),
    Figure(
        "open_connections",
        "Connections that are out of their pools.",
        False,
        (),
        _connections,
    ),
    Figure(
        "held_seconds",
        "How long the oldest of them is held.",
        False,
        (),
        _held,
    ),
    Figure(
        "pool_connections",
        "Connections of a pool, in use and free.",
        False,
        ("pool", "state"),
        _pool,
    ),
)


@guarded(Part.METRICS)
def _sums(figure: Figure, apps: t.Iterable[App]) -> dict[tuple[str, ...], float]:
    """Return the values of a figure. Several apps may have one name."""
    sums: dict[tuple[str, ...], float] = {}
    for labels, value in figure.values(apps):
        sums[labels] = sums.get(labels, 0) + value
    return sums


@guarded(Part.METRICS)
def register(apps: t.Iterable[App]) -> None:
    """Offer the figures of these apps to what is installed."""
    if find_spec("prometheus_client"):
        _to_prometheus(apps)
    if find_spec("opentelemetry") and find_spec("opentelemetry.metrics"):
        _to_opentelemetry(apps)


def _to_prometheus(apps: t.Iterable[App]) -> None:
    from prometheus_client import REGISTRY
    from prometheus_client.core import CounterMetricFamily
    from prometheus_client.core import GaugeMetricFamily

    class Collector:
        def collect(self) -> t.Iterator[t.Any]:
            for figure in FIGURES:
                kind = CounterMetricFamily if figure.counts else GaugeMetricFamily
                name = f"{PREFIX}_{figure.name}"
                family: t.Any = kind(name, figure.says, labels=figure.labels)
                for labels, value in (_sums(figure, apps) or {}).items():
                    family.add_metric(labels, value)
                yield family

    REGISTRY.register(t.cast(t.Any, Collector()))


def _to_opentelemetry(apps: t.Iterable[App]) -> None:
    from opentelemetry import metrics

    meter = metrics.get_meter(PREFIX)
    for figure in FIGURES:

        def observe(options: object, figure: Figure = figure) -> t.Iterator[t.Any]:
            for labels, value in (_sums(figure, apps) or {}).items():
                named = dict(zip(figure.labels, labels, strict=True))
                yield metrics.Observation(value, named)

        make = meter.create_observable_gauge
        if figure.counts:
            make = t.cast(t.Any, meter.create_observable_counter)
        make(f"{PREFIX}.{figure.name}", callbacks=[observe], description=figure.says)
