"""Conflicts between routes in one proxy."""

from __future__ import annotations

import pytest

from orchestrator.domain.traffic.route import ProxyApp, Route
from orchestrator.domain.traffic.routing import refuse_conflicts, split_listen
from orchestrator.errors import UsageError
from tests.unit.builders import backend, proxy_app

ADDRESS = "127.0.0.1:8000"


def served(route: Route, name: str = "other") -> ProxyApp:
    return proxy_app(name, route, backend("v1", "10.213.0.64"), backend("none", "10.213.0.96"))


@pytest.mark.parametrize(
    ("listen", "expected"),
    [
        ("127.0.0.1:8000", ("127.0.0.1", 8000)),
        ("*:80", ("*", 80)),
        ("[::1]:8000", ("::1", 8000)),
        ("[::]:1", ("::", 1)),
    ],
)
def test_split_listen(listen: str, expected: tuple[str, int]) -> None:
    assert split_listen(listen) == expected


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        (Route(ADDRESS, ("a.example.com",)), Route(ADDRESS, ("b.example.com",))),
        (Route(ADDRESS, ("a.example.com",)), Route(ADDRESS)),
        (Route(ADDRESS, (), "/a"), Route(ADDRESS, (), "/b")),
        (Route(ADDRESS, (), "/a"), Route(ADDRESS)),
        (Route(ADDRESS, ("a.example.com",), "/a"), Route(ADDRESS, ("a.example.com",), "/b")),
        (Route(ADDRESS), Route("127.0.0.1:8001")),
        (Route(ADDRESS), Route("127.0.0.2:8000")),
        (Route("*:8000"), Route("127.0.0.1:8001")),
        # All IPv4 addresses include no IPv6 address.
        (Route("0.0.0.0:8000"), Route("[fe80::1]:8000")),
        (Route("*:8000", (), "/a"), Route("*:8000", (), "/b")),
        # One exporter reports all apps.
        (Route(ADDRESS, (), "/a", metrics="*:8405"), Route(ADDRESS, (), "/b", metrics="*:8405")),
        (Route(ADDRESS, metrics="127.0.0.1:8405"), Route("127.0.0.1:8001", metrics="127.0.0.2:8405")),
        (Route(ADDRESS, metrics="127.0.0.1:8405"), Route("127.0.0.1:8001")),
        # A preview has an address of its own.
        (Route(ADDRESS, (), "/a", preview="*:8101"), Route(ADDRESS, (), "/b", preview="*:8102")),
        (Route(ADDRESS, preview="127.0.0.1:8101"), Route("127.0.0.2:8101", metrics="127.0.0.3:8101")),
        (Route(ADDRESS, metrics="127.0.0.1:8405", preview="127.0.0.1:8101"), Route("*:8001", preview="[::1]:8101")),
    ],
)
def test_different_routes_do_not_conflict(mine: Route, theirs: Route) -> None:
    refuse_conflicts("mymodel", mine, [served(theirs)])
    refuse_conflicts("mymodel", theirs, [served(mine)])


@pytest.mark.parametrize(
    ("mine", "theirs", "message"),
    [
        (Route(ADDRESS), Route(ADDRESS), "proxy.listen: 127.0.0.1:8000 is the route of app other"),
        (
            Route(ADDRESS, ("a.example.com", "b.example.com")),
            Route(ADDRESS, ("b.example.com",)),
            "proxy.listen: 127.0.0.1:8000 host b.example.com is the route of app other",
        ),
        (
            Route(ADDRESS, (), "/a"),
            Route(ADDRESS, (), "/a"),
            "proxy.listen: 127.0.0.1:8000/a is the route of app other",
        ),
        (
            Route("*:8000"),
            Route("127.0.0.1:8000", ("a.example.com",)),
            "proxy.listen: *:8000 overlaps 127.0.0.1:8000 of app other",
        ),
        (Route("127.0.0.1:8000"), Route("0.0.0.0:8000"), "proxy.listen: 127.0.0.1:8000 overlaps 0.0.0.0:8000"),
        (Route("[::]:8000"), Route("[::1]:8000"), "proxy.listen: [::]:8000 overlaps [::1]:8000"),
        # Both * and :: are all addresses of both families.
        (Route("*:8000"), Route("[::1]:8000"), "proxy.listen: *:8000 overlaps [::1]:8000"),
        (Route("127.0.0.1:8000"), Route("[::]:8000"), "proxy.listen: 127.0.0.1:8000 overlaps [::]:8000"),
        (Route("[::]:8000"), Route("*:8000"), "proxy.listen: [::]:8000 overlaps *:8000"),
        (Route("*:8000"), Route("0.0.0.0:8000"), "proxy.listen: *:8000 overlaps 0.0.0.0:8000"),
    ],
)
def test_conflicting_routes_are_refused(mine: Route, theirs: Route, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        refuse_conflicts("mymodel", mine, [served(theirs)])
    assert str(caught.value).startswith(message)
    assert caught.value.hint


METRICS = "127.0.0.1:8405"


@pytest.mark.parametrize(
    ("mine", "theirs", "message"),
    [
        (
            Route(ADDRESS, metrics=ADDRESS),
            Route("127.0.0.1:8001"),
            "proxy.metrics: 127.0.0.1:8000 is taken by proxy.listen (127.0.0.1:8000)",
        ),
        (Route(ADDRESS, metrics="*:8000"), Route("[::1]:1"), "proxy.metrics: *:8000 is taken by proxy.listen"),
        (
            Route(ADDRESS, metrics=METRICS),
            Route(METRICS),
            "proxy.metrics: 127.0.0.1:8405 is taken by 127.0.0.1:8405, where app other is served",
        ),
        (Route(ADDRESS, metrics=METRICS), Route("*:8405"), "proxy.metrics: 127.0.0.1:8405 is taken by *:8405, where"),
        (
            Route("*:8405"),
            Route(ADDRESS, metrics=METRICS),
            "proxy.listen: *:8405 is taken by proxy.metrics of app other (127.0.0.1:8405)",
        ),
        (Route(METRICS), Route(ADDRESS, metrics=METRICS), "proxy.listen: 127.0.0.1:8405 is taken by proxy.metrics of"),
        (
            Route(ADDRESS, metrics=METRICS),
            Route("127.0.0.1:8001", metrics="[::]:8405"),
            "proxy.metrics: 127.0.0.1:8405 overlaps [::]:8405 of app other",
        ),
    ],
)
def test_metrics_need_a_separate_address(mine: Route, theirs: Route, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        refuse_conflicts("mymodel", mine, [served(theirs)])
    assert str(caught.value).startswith(message)
    assert caught.value.hint


PREVIEW = "127.0.0.1:8101"


@pytest.mark.parametrize(
    ("mine", "theirs", "message"),
    [
        (
            Route(ADDRESS, preview=ADDRESS),
            Route("*:1"),
            f"proxy.preview: {ADDRESS} is taken by proxy.listen ({ADDRESS})",
        ),
        (Route(ADDRESS, preview="*:8000"), Route("*:1"), "proxy.preview: *:8000 is taken by proxy.listen (127.0"),
        (
            Route(ADDRESS, metrics="*:8101", preview=PREVIEW),
            Route("*:1"),
            f"proxy.preview: {PREVIEW} is taken by proxy.metrics (*:8101)",
        ),
        # Unlike an address for clients or for metrics, one for previews is not shared.
        (
            Route(ADDRESS, preview=PREVIEW),
            Route("*:1", preview=PREVIEW),
            f"proxy.preview: {PREVIEW} is taken by proxy.preview of app other ({PREVIEW})",
        ),
        (
            Route(ADDRESS, (), "/a", preview=PREVIEW),
            Route(ADDRESS, (), "/b", preview="0.0.0.0:8101"),
            f"proxy.preview: {PREVIEW} is taken by proxy.preview of app other (0.0.0.0:8101)",
        ),
        (
            Route(ADDRESS, preview=PREVIEW),
            Route("*:8101"),
            f"proxy.preview: {PREVIEW} is taken by proxy.listen of app other (*:8101)",
        ),
        (
            Route(ADDRESS, preview=PREVIEW),
            Route("*:1", metrics=PREVIEW),
            f"proxy.preview: {PREVIEW} is taken by proxy.metrics of app other ({PREVIEW})",
        ),
        (
            Route("*:8101"),
            Route("*:1", preview=PREVIEW),
            f"proxy.listen: *:8101 is taken by proxy.preview of app other ({PREVIEW})",
        ),
        (
            Route(ADDRESS, metrics=PREVIEW),
            Route("*:1", preview=PREVIEW),
            f"proxy.metrics: {PREVIEW} is taken by proxy.preview of app other ({PREVIEW})",
        ),
    ],
)
def test_a_preview_shares_its_address_with_nothing(mine: Route, theirs: Route, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        refuse_conflicts("mymodel", mine, [served(theirs)])
    assert str(caught.value).startswith(message)
    assert caught.value.hint == "choose another port"


def test_an_app_does_not_conflict_with_itself() -> None:
    route = Route(ADDRESS, metrics=METRICS, preview=PREVIEW)
    refuse_conflicts("mymodel", route, [served(route, "mymodel")])


def test_the_claims_of_a_route() -> None:
    assert Route(ADDRESS).claims() == {(ADDRESS, "", "")}
    assert Route(ADDRESS, ("a", "b"), "/p").claims() == {(ADDRESS, "a", "/p"), (ADDRESS, "b", "/p")}
