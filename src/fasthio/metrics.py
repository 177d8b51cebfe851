"""A Prometheus endpoint for polls; needs prometheus-client.

Figures are read when they are asked for, in the endpoint's own thread; the loop
that polls only counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .polling import Poller
    from .pollview import Totals

__all__ = ["Metrics", "PollCollector"]

#: Upper bounds of the buckets in seconds.
BOUNDS: Final = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
]  # fmt: skip


class PollCollector:
    """Give the figures of a poller and of what was counted."""

    def __init__(self, poller: Poller, totals: Totals) -> None:
        """Take what is to be told.

        Args:
            poller: whose figures are given.
            totals: what was counted.
        """
        self.poller = poller
        self.totals = totals

    def collect(self) -> Iterator[Any]:
        """Give one family of metrics after the other, as prometheus-client asks for them."""
        from prometheus_client.core import (
            CounterMetricFamily,
            GaugeMetricFamily,
            HistogramMetricFamily,
        )

        poller, totals = self.poller, self.totals
        polls = CounterMetricFamily("fasthio_polls", "Due polls by outcome.", labels=["outcome"])
        for outcome, count in list(poller.counts.items()):
            polls.add_metric([outcome], count)
        yield polls
        failures = CounterMetricFamily(
            "fasthio_poll_failures", "Polls that failed, by reason.", labels=["reason"]
        )
        for reason, count in list(totals.all.failures.items()):
            failures.add_metric([reason], count)
        yield failures
        skipped = CounterMetricFamily(
            "fasthio_polls_skipped", "Due polls that were not begun, by reason.", labels=["reason"]
        )
        for reason, count in list(totals.all.skipped.items()):
            skipped.add_metric([reason], count)
        yield skipped
        yield CounterMetricFamily(
            "fasthio_body_octets", "Octets of all bodies.", value=totals.all.octets
        )
        latencies = totals.all.latencies
        total, count = latencies.total, latencies.count
        buckets: list[tuple[str, int]] = [
            (str(bound), min(each, count))
            for bound, each in zip(BOUNDS, latencies.cumulative(BOUNDS), strict=True)
        ]
        yield HistogramMetricFamily(
            "fasthio_poll_latency_seconds",
            "From the request to the whole response.",
            buckets=[*buckets, ("+Inf", count)],
            sum_value=total,
        )
        for name, text, value in (
            ("fasthio_targets", "Targets.", len(poller)),
            ("fasthio_polls_under_way", "Polls under way.", poller.flying),
            ("fasthio_polls_waiting", "Due polls that wait to begin.", poller.waiting),
            ("fasthio_connections", "Connections open.", poller.connections),
            ("fasthio_results_waiting", "Results not taken yet.", len(poller.results)),
        ):
            yield GaugeMetricFamily(name, text, value=value)
        yield CounterMetricFamily(
            "fasthio_stalls", "Times that polling stopped as results were not taken.",
            value=poller.stalls,
        )  # fmt: skip
        up = GaugeMetricFamily(
            "fasthio_target_up", "1 where the latest poll succeeded, else 0.", labels=["target"]
        )
        latest = GaugeMetricFamily(
            "fasthio_target_latency_seconds", "Latency of the latest poll.", labels=["target"]
        )
        for label, tally in list(totals.each.items()):
            last = tally.last
            if last is not None:
                up.add_metric([label], 1.0 if last.ok else 0.0)
                if last.latency is not None:
                    latest.add_metric([label], last.latency.total)
        yield up
        yield latest


class Metrics:
    """The endpoint.

    Attributes:
        port: it listens on.
    """

    def __init__(
        self, poller: Poller, totals: Totals, port: int, address: str = "127.0.0.1"
    ) -> None:
        """Begin to listen.

        Args:
            poller: whose figures are given.
            totals: what was counted.
            port: to listen on; 0 for one that is free.
            address: to listen on.
        Raises:
            ImportError: prometheus-client is not installed.
            OSError: the port is taken.
        """
        from prometheus_client import CollectorRegistry, start_http_server

        registry = CollectorRegistry()
        registry.register(PollCollector(poller, totals))
        self._server, self._thread = start_http_server(port, addr=address, registry=registry)
        self.port: int = self._server.server_port

    def close(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
