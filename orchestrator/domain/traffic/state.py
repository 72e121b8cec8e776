"""The traffic state: who gets an app's requests. Plans change it, the ledger stores it, the edge applies it. Pure."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.domain.traffic.maintenance import Maintenance
from orchestrator.domain.traffic.slot import Slot, other
from orchestrator.frozen import frozen

ALL = 10_000
"""The share of all requests. Shares are counted in hundredths of a percent."""


@frozen
class TrafficState:
    """Which slot gets which share of the requests.

    `share` is the candidate's share, in hundredths of a percent (0 to 9,999: a version with all requests is live);
    `live` gets the rest. `shield`: the older of the two running versions answers requests that the newer one fails, or
    does not begin to answer within `patience` seconds (0: as long as the proxy waits for any answer). `preview`: the
    candidate also answers at an address of its own. `held`: requests wait, for at most this many seconds, instead of
    being served; 0: they are served. `maintenance`: no version answers a request. `sessions`: sticky sessions that
    began on the other slot, on the version before the live one, stay there.

    A deployment decides all of this but `maintenance`, which people begin and end: see `keeping`.
    """

    live: Slot | None = None
    candidate: Slot | None = None
    share: int = 0
    shield: bool = False
    preview: bool = False
    held: float = 0.0
    patience: float = 0.0
    maintenance: Maintenance | None = None
    sessions: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.share < ALL:
            raise ValueError(f"a candidate's share is 0 to {ALL - 1}, not {self.share}")
        if self.candidate is not None and self.candidate == self.live:
            raise ValueError(f"{self.live} cannot be live and candidate at once")
        if self.share and self.candidate is None:
            raise ValueError("a share needs a candidate")
        if self.shield and self.live is None:
            raise ValueError("a shield needs a live version")
        if self.patience and not self.shield:
            raise ValueError("only a shield has a patience")
        if self.preview and self.candidate is None:
            raise ValueError("a preview needs a candidate")
        if self.maintenance is not None and self.live is None:
            raise ValueError("maintenance needs a live version")
        if self.sessions and (self.live is None or self.candidate is not None):
            raise ValueError("sessions stay on the version before the live one, while there is no candidate")

    def share_of(self, slot: Slot) -> int:
        """The slot's share of the requests, in hundredths of a percent."""
        if slot == self.candidate:
            return self.share
        return ALL - self.share if slot == self.live else 0

    @property
    def fallback(self) -> Slot | None:
        """The slot that answers requests that the newer version fails; None without a shield."""
        if not self.shield or self.live is None:
            return None
        # A candidate is newer than the live version; without one, the live version is the newer of the two.
        return self.live if self.candidate is not None else other(self.live)

    @property
    def kept(self) -> Slot | None:
        """The slot that keeps the sessions that began there, without a share of the others; None: there is none."""
        return other(self.live) if self.sessions and self.live is not None else None

    @property
    def older(self) -> Slot | None:
        """The slot that the live one needs beside it, as its fallback or for sessions; None: it needs none."""
        return self.fallback or self.kept

    @property
    def unshielded(self) -> TrafficState:
        """The same state without a shield, and without sessions that stay on an older version."""
        return replace(self, shield=False, patience=0.0, sessions=False)

    def keeping(self, before: TrafficState) -> TrafficState:
        """This state with the maintenance of `before`: only the loss of the live version ends it as well."""
        return replace(self, maintenance=before.maintenance if self.live is not None else None)

    def needs(self, slot: Slot) -> bool:
        """Whether the slot must keep running: it has a share, is the fallback, keeps sessions, or is previewed.

        While requests wait, none must: whoever holds them makes room for another version.
        """
        if self.held:
            return False
        previewed = self.preview and slot == self.candidate
        return self.share_of(slot) > 0 or slot in (self.live, self.fallback, self.kept) or previewed

    def same_shares(self, other: TrafficState) -> bool:
        """Whether every slot gets the same share in both states."""
        return (self.live, self.candidate, self.share) == (other.live, other.candidate, other.share)

    def __str__(self) -> str:
        if self.live is None:
            return "no slot"
        text = f"{self.live}"
        if self.candidate is not None:
            text += f", {self.share / 100:g} % to {self.candidate}"
        text += f", shielded by {self.fallback}" if self.shield else ""
        text += f", with sessions on {self.kept}" if self.kept else ""
        return text + (", in maintenance" if self.maintenance is not None else "")
