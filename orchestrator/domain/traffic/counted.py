"""The traffic of a version, from the counters of the edge. Pure.

Counters grow as long as a worker of the edge runs, for all versions that were in a slot. So the traffic of a version is
the difference from the counters at an earlier moment.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import field

from orchestrator.domain.traffic.latencies import Histogram, difference, mean
from orchestrator.domain.traffic.sample import Sample
from orchestrator.domain.traffic.slot import Slot
from orchestrator.frozen import frozen

Reading = Mapping[str, Mapping[Slot, Sample]]
"""The counters of all workers of the edge at one moment, by worker and slot."""


@frozen
class Traffic:
    """What was counted of a slot between two readings: see `Sample`."""

    requests: int = 0
    failures: int = 0
    rescued: int = 0
    times: Histogram = field(default_factory=dict)

    @property
    def lost(self) -> int:
        """The failures that reached clients."""
        return max(0, self.failures - self.rescued)

    @property
    def seconds(self) -> float | None:
        """The mean response time of its good answers; None without any."""
        return mean(self.times)

    def __str__(self) -> str:
        if not self.requests:
            return "no requests"
        text = f"{self.failures / self.requests:.1%} of {self.requests:,} requests failed"
        if self.rescued:
            text += f" ({self.rescued:,} of them were answered by the other version)"
        return text if self.seconds is None else f"{text}, {self.seconds * 1000:.0f} ms on average"


def between(before: Reading, after: Reading, slot: Slot) -> Traffic:
    """The traffic of a slot between two readings.

    A worker that is missing in `before` started from zero. The counters of a worker that has ended are lost.
    """
    requests = failures = rescued = 0
    times: Counter[str] = Counter()
    for worker, slots in after.items():
        last = slots.get(slot)
        if last is None:
            continue
        first = before.get(worker, {}).get(slot)
        if first is None or first.requests > last.requests:  # another worker with the same name
            first = Sample(0, 0, 0, {})
        requests += last.requests - first.requests
        failures += max(0, last.failures - first.failures)
        rescued += max(0, last.rescued - first.rescued)
        times.update(difference(first.times, last.times))
    return Traffic(requests, failures, rescued, dict(times))


def as_json(reading: Reading) -> dict[str, dict[str, list[object]]]:
    """A reading, ready for JSON."""
    return {worker: {slot: list(sample) for slot, sample in slots.items()} for worker, slots in reading.items()}


def from_json(data: Mapping[str, Mapping[Slot, list[object]]]) -> Reading:
    """What `as_json` has written."""
    return {worker: {slot: Sample(*row) for slot, row in slots.items()} for worker, slots in data.items()}  # type: ignore[arg-type]
