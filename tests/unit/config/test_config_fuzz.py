"""Thousands of deploy.toml files: each is refused in words for a person, or works to the last line of HAProxy's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.config import Config, load
from orchestrator.domain.traffic.routing import refuse_conflicts
from orchestrator.errors import ConfigError, UsageError
from orchestrator.release.release import release
from tests.chaos import FULL
from tests.fakes.world import World
from tests.unit import fuzz
from tests.unit.builders import kept
from tests.unit.fuzz import GOOD, PLACES, SIGNS, TEXTS, Tally, fuzzing, judge, toml

IN_FULL = {
    "good": 2000,
    "hostile": 2500,
    "poisoned": 1600,
    "any place": 1200,
    "edited": 1400,
    "raw": 800,
    "disk": 600,
    "released": 100,
    "pairs": 600,
}
# `scripts/chaos FILE` generates all, `scripts/test` the first of them: enough to meet every trap.
FILES = IN_FULL if FULL else {kind: count if kind in ("raw", "disk") else count // 8 for kind, count in IN_FULL.items()}


def test_there_are_enough_files() -> None:
    # A pair is two.
    assert sum(IN_FULL.values()) + IN_FULL["pairs"] >= 10_000


def enough(tally: Tally, kind: str, *, valid: float = 0.0, invalid: float = 0.0) -> None:
    """Both kinds of file did occur; `valid` and `invalid` are their least shares."""
    assert tally.total >= FILES[kind]
    assert tally.valid >= valid * tally.total, f"{tally.valid} of {tally.total} are valid"
    assert tally.invalid >= invalid * tally.total, f"{tally.invalid} of {tally.total} are invalid"
    print(f"{kind}: {tally.valid} of {tally.total} are valid")


def test_good_values_work_together() -> None:
    tally = Tally()

    @fuzzing(FILES["good"])
    @given(fuzz.good_documents())
    def run(document: dict[str, Any]) -> None:
        tally.count(judge(toml(document)))

    run()
    enough(tally, "good", valid=0.8)


# The texts of findings.
SAID = """
unknown key|missing|expected text|expected a whole number|expected a number|expected true or false|expected a list
expected a table|must be at least|must be at most|a very large number|a date or time|must be 'auto'
conflicts with health.path|has no effect|is longer than health.deadline|probes take|is taken by
must be one line|must not contain control characters|must not be empty|must not contain NUL|expected a duration
must be longer than zero|must be at least 1ms|must be at most 30d|expected a size|invalid size|at least 6m
cannot be split into words|not a DNS name|expected an address and a port|the host must be an IP address
must start with "/" and contain only|must not contain empty parts|must be relative|must stay inside
must be an absolute path|expected a file name|expected letters|expected a variable
expected "source:/target"|not an absolute path, a ./path|is reserved|at most 40 lowercase letters|name of a build stage
not a stage: expected a share|not a stage: the share must be|the shares must rise|is in the list twice
has no effect with strategy|must not be empty with strategy|expected "none"|must be 'hold' or 'advance'
expected "user"|a capability|must be between 1 and 1024|expected "all"|the number is too large
"""


def test_hostile_values_are_refused_or_harmless() -> None:
    tally = Tally()

    @fuzzing(FILES["hostile"])
    @given(fuzz.hostile_documents())
    def run(document: dict[str, Any]) -> None:
        tally.count(judge(toml(document)))

    run()
    enough(tally, "hostile", valid=0.04, invalid=0.5)


def test_every_known_trap_at_every_place() -> None:
    """The same without chance: all that a finding can say is said."""
    tally = Tally()
    for document in fuzz.traps():
        tally.count(judge(toml(document)))
    assert tally.valid
    assert tally.invalid > tally.valid
    assert not [words for words in SAID.strip().replace("\n", "|").split("|") if not tally.met(words)]


def test_no_text_carries_a_sign_into_haproxy() -> None:
    tally = Tally()

    @fuzzing(FILES["poisoned"])
    @given(st.sampled_from(TEXTS), st.data())
    def run(place: str, data: st.DataObject) -> None:
        good = data.draw(st.sampled_from([value for value in GOOD[place] if isinstance(value, str)]))
        tally.count(judge(toml(fuzz.smallest(place, data.draw(fuzz.poison(good))))))

    run()
    enough(tally, "poisoned", valid=0.1, invalid=0.5)


# The places that HAProxy reads of.
PROXIED = ["app.name", "health.path", "health.model", "proxy.listen", "proxy.host", "proxy.path_prefix"]
PROXIED += ["proxy.preview", "proxy.sticky"]


@pytest.mark.parametrize("place", PROXIED)
def test_every_sign_in_every_place_that_haproxy_reads(place: str) -> None:
    """The same without chance: all signs, at the beginning, in the middle and at the end."""
    tally = Tally()
    for sign in SIGNS:
        for good in (value for value in GOOD[place] if isinstance(value, str) and len(value) < 60):
            for text in (sign + good, good[:2] + sign + good[2:], good + sign):
                document = fuzz.smallest(place, text)
                if place == "health.model":
                    document["health"]["preset"] = "kserve-v2"
                tally.count(judge(toml(document)))
    assert tally.valid
    assert tally.invalid > tally.valid


def test_any_value_at_any_place() -> None:
    tally = Tally()

    @fuzzing(FILES["any place"])
    @given(st.sampled_from(PLACES), st.data())
    def run(place: str, data: st.DataObject) -> None:
        # Some good ones among them: what hypothesis draws depends on the modules that were imported before.
        value = data.draw(st.sampled_from(fuzz.OTHER) | fuzz.hostile_texts | st.sampled_from(GOOD[place]))
        tally.count(judge(toml(fuzz.smallest(place, value))))

    run()
    enough(tally, "any place", valid=0.05, invalid=0.5)


def test_the_example_after_somebody_has_worked_on_it() -> None:
    tally = Tally()

    @fuzzing(FILES["edited"])
    @given(fuzz.edited_examples())
    def run(text: str) -> None:
        tally.count(judge(text))

    run()
    enough(tally, "edited", valid=0.2, invalid=0.3)
    assert tally.met("not valid TOML")


def test_any_text_at_all() -> None:
    tally = Tally()

    @fuzzing(FILES["raw"])
    @given(fuzz.raw_texts)
    def run(text: str) -> None:
        tally.count(judge(text))

    run()
    enough(tally, "raw", invalid=0.9)
    assert tally.valid
    for words in ("not valid TOML", "not valid Unicode", "nested too deeply", "too many digits"):
        assert tally.met(words), words


# --- the disk ----------------------------------------------------------------------------------------------------

ENV_LINES = [
    f"A={fuzz.SECRET}",
    f"export B = '{fuzz.SECRET}'",
    "# x",
    "",
    "\t",
    "C",
    f"{fuzz.SECRET} \x1b[2J",
    "=1",
    "1A=1",
]
ENV_LINES += ["A=\x00", "\u202e=1", "D=\u202e", "E=a=b", "F=\r", 'G="', "\x0c"]
NAMES = [
    "there",
    "there/../there",
    "link",
    "loop",
    "dangling",
    "a\u202eb",
    "a\x85b",
    "\u2028",
    "no",
    "..",
    "/etc",
    "x" * 300,
]
NAMES += ["there/x", "a b", "'", "prod.env", "/dev/zero", "\ufeff"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what a deploy.toml may name, in a folder whose name is no good text."""
    found = tmp_path_factory.mktemp("disk") / "a\x85b\udcff"
    (found / "there").mkdir(parents=True)
    (found / "link").symlink_to("/etc")
    (found / "loop").symlink_to("loop")
    (found / "dangling").symlink_to("nowhere")
    return found


def test_files_on_the_disk(folder: Path) -> None:
    tally = Tally()
    names = st.sampled_from(NAMES)
    places = st.fixed_dictionaries(
        {"build.context": st.sampled_from([".", "."]) | names},
        optional={
            "model.path": names,
            "run.env_file": st.sampled_from(["prod.env", "prod.env", "/dev/zero"]) | names,
            "run.volumes": st.lists(names.map(lambda name: f"./{name}:/{name}"), max_size=3),
        },
    )
    before = st.sampled_from(["", "", "", "\ufeff", "\x00", "[app]\n"]).map(str.encode) | st.sampled_from(
        [b"\xff", b"\xed\xa0\x80"]
    )

    @fuzzing(FILES["disk"])
    @given(fuzz.good_documents(), places, st.lists(st.sampled_from(ENV_LINES), max_size=3), before)
    def run(document: dict[str, Any], named: dict[str, Any], lines: list[str], head: bytes) -> None:
        for section in ("build", "model", "run"):
            document.pop(section, None)
        for place, value in named.items():
            section, _, key = place.partition(".")
            document.setdefault(section, {})[key] = value
        (folder / "prod.env").write_text("\n".join(lines), encoding="utf-8")
        path = folder / "deploy.toml"
        path.write_bytes(head + toml(document).encode())
        try:
            found: Config | UsageError = load(path)
        except ConfigError as error:
            # The path of the file itself is the caller's, who knows how to write it.
            fuzz.explained(ConfigError("deploy.toml", error.findings))
            found = error
        except UsageError as error:
            assert fuzz.SECRET not in str(error)
            found = error
        if isinstance(found, Config):
            assert Config.from_snapshot(json.loads(json.dumps(found.snapshot()))) == kept(found)
            fuzz.planned(found)
            fuzz.rendered(found)
            fuzz.contained(found)
        tally.count(found)

    run()
    enough(tally, "disk", valid=0.1, invalid=0.3)
    for words in (
        "there is no folder",
        "there is no file",
        "line ",
        "cannot be read",
        "not a regular file",
    ):
        assert tally.met(words), words


# --- releases ----------------------------------------------------------------------------------------------------


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    found = World(tmp_path / "world")
    yield found
    found.close()


def test_a_release_of_any_good_file(world: World) -> None:
    """Through the real use case and the real ledger: what a later command reads of it is what was released."""
    tally = Tally()

    @fuzzing(FILES["released"])
    @given(fuzz.good_documents())
    def run(document: dict[str, Any]) -> None:
        # A Dockerfile must be there; and two apps with one route are another test's matter.
        document.pop("build", None)
        document["app"]["name"] = f"app-{tally.total}"
        document.setdefault("proxy", {})["listen"] = f"127.0.0.1:{10000 + tally.total}"
        for key in ("secrets", "secret_env", "networks"):
            document.get("run", {}).pop(key, None)  # they would have to be there
        found = judge(toml(document), world.folder)
        tally.count(found)
        if not isinstance(found, Config):
            return
        result = release(world.services, found, None)
        assert result.deployment is not None
        deployment = world.ledger.deployments(found.app.name)[0]
        assert deployment.outcome == "succeeded"
        assert Config.from_snapshot(deployment.config) == kept(found)
        [known] = [app for app in world.ledger.proxy_apps() if app.name == found.app.name]
        assert known.route == found.route()
        # The next one must not have to carry all those before it.
        world.ledger.remove_proxy_app(found.app.name)

    run()
    enough(tally, "released", valid=0.8)


# --- two apps ----------------------------------------------------------------------------------------------------

# Every way to write an address, and what is listened on: the kernel keeps two of these apart or does not.
ALL_4, ALL = "all of IPv4", "all of both"
WRITTEN = {
    ":8000": ALL,
    "*:8000": ALL,
    "*:08000": ALL,
    "0.0.0.0:8000": ALL_4,
    "[::ffff:0.0.0.0]:8000": ALL_4,
    "127.0.0.1:8000": "127.0.0.1",
    "localhost:8000": "127.0.0.1",
    "LocalHost:8000": "127.0.0.1",
    "[::ffff:127.0.0.1]:8000": "127.0.0.1",
    "[::FFFF:7f00:1]:8000": "127.0.0.1",
    "127.0.0.2:8000": "127.0.0.2",
    "[::1]:8000": "::1",
    "[0:0:0:0:0:0:0:1]:8000": "::1",
    "[::]:8000": ALL,
    "[0::0]:8000": ALL,
}


def meet(one: str, two: str) -> bool:
    """Whether Linux refuses to listen on both at one port."""
    return one == two or ALL in (one, two) or (ALL_4 in (one, two) and "::1" not in (one, two))


@st.composite
def routes(draw: st.DrawFn) -> dict[str, Any]:
    hosts = ["a.example", "A.EXAMPLE", "*.a.example", "*.A.Example", "b.example"]
    port = draw(st.sampled_from(["8000", "8000", "8000", "8001"]))
    return {
        "listen": draw(st.sampled_from(sorted(WRITTEN))).replace("8000", port),
        "host": draw(st.lists(st.sampled_from(hosts), max_size=2) | st.sampled_from(hosts)),
        "path_prefix": draw(st.sampled_from(["", "/", "/a", "/a/", "/b", "/A"])),
    }


def expected(one: dict[str, Any], two: dict[str, Any], *, one_listener: bool) -> bool:
    """Whether two apps cannot be served side by side, from what their files say."""
    (mine, port), (theirs, other_port) = (
        (WRITTEN[proxy["listen"].replace("8001", "8000")], proxy["listen"][-4:]) for proxy in (one, two)
    )
    if port != other_port or not meet(mine, theirs):
        return False
    # Written so differently that HAProxy would be told to listen twice; else the routes decide.
    if not one_listener:
        return True
    names = [
        {host.lower() for host in ([proxy["host"]] if isinstance(proxy["host"], str) else proxy["host"])} or {""}
        for proxy in (one, two)
    ]
    return bool(names[0] & names[1]) and one["path_prefix"].rstrip("/") == two["path_prefix"].rstrip("/")


def test_two_apps_never_have_one_route() -> None:
    tally, refused = Tally(), [0, 0]

    @fuzzing(FILES["pairs"])
    @given(routes(), routes())
    def run(one: dict[str, Any], two: dict[str, Any]) -> None:
        pair = []
        for name, proxy in (("a", one), ("b", two)):
            config = judge(toml({"app": {"name": name, "port": 1}, "proxy": proxy}))
            tally.count(config)
            assert isinstance(config, Config)
            pair.append(config)
        mine, theirs = pair
        clash = expected(one, two, one_listener=mine.proxy.listen == theirs.proxy.listen)
        for left, right in ((mine, theirs), (theirs, mine)):
            try:
                refuse_conflicts(left.app.name, left.route(), [fuzz.proxy_app(right)])
                found = False
            except UsageError as error:
                fuzz.explained(error)
                found = True
            assert found == clash, (left.proxy, right.proxy)
        refused[clash] += 1

    run()
    enough(tally, "pairs", valid=1.0)
    assert min(refused) > FILES["pairs"] / 10, refused


def test_only_all_addresses_have_two_spellings_and_they_refuse_each_other() -> None:
    by_address: dict[str, set[str]] = {}
    for written, address in WRITTEN.items():
        config = judge(toml({"app": {"name": "m", "port": 1}, "proxy": {"listen": written}}))
        assert isinstance(config, Config)
        by_address.setdefault(address, set()).add(config.proxy.listen)
    assert by_address.pop(ALL) == {"*:8000", "[::]:8000"}
    assert {len(spellings) for spellings in by_address.values()} == {1}


@pytest.mark.parametrize("host", ["a.example.", "a.example..", "\u212a.example", "\uff41.example"])
def test_a_name_that_only_looks_like_another_is_refused(host: str) -> None:
    found = judge(toml({"app": {"name": "m", "port": 1}, "proxy": {"host": host}}))
    assert isinstance(found, ConfigError)
    assert [finding.path for finding in found.findings] == ["proxy.host[0]"]
