"""The readiness checks of known model servers, and what their replies mean."""

from __future__ import annotations

import re

import pytest

from orchestrator.domain.health.presets import PRESETS, Preset, resolve
from orchestrator.domain.health.probe import Judgement, ProbeSpec, Reply, judge
from orchestrator.errors import UsageError


def ask(preset: Preset, body: str, status: int = 200) -> Judgement:
    spec = ProbeSpec(
        path=preset.path,
        port=preset.port,
        body=preset.body,
        failed_body=preset.failed_body,
        statuses=preset.statuses,
    )
    return judge(spec, Reply(status=status, body=body))


@pytest.mark.parametrize(
    ("name", "path", "live", "port"),
    [
        ("kserve-v2", "/v2/health/ready", "/v2/health/live", 8080),
        ("kserve-v1", "/", "/", 8080),
        ("tf-serving", "/v1/models/model", "/v1/models/model", 8501),
        ("torchserve", "/ping", "/ping", 8080),
        ("cog", "/health-check", "/health-check", 5000),
        ("mlflow", "/ping", "/ping", 8080),
        ("sagemaker", "/ping", "/ping", 8080),
        ("bentoml", "/readyz", "/livez", 3000),
        ("openai", "/health", "/health", 8000),
        ("vllm", "/health", "/health", 8000),
        ("triton", "/v2/health/ready", "/v2/health/live", 8000),
        ("llama.cpp", "/health", "/health", 8080),
        ("ollama", "/api/version", "/", 11434),
        ("tgi", "/health", "/health", 80),
        ("litserve", "/health", "/health", 8000),
        ("ray", "/-/healthz", "/-/healthz", 8000),
    ],
)
def test_the_checks_without_a_model(name: str, path: str, live: str, port: int) -> None:
    preset = resolve(name, None)
    assert (preset.name, preset.path, preset.live_path, preset.port) == (name, path, live, port)


def test_only_servers_with_the_api_of_openai_may_have_another_path() -> None:
    assert {name: preset.otherwise for name, preset in PRESETS.items() if preset.otherwise} == {
        "openai": ("/v1/models",)
    }


def test_every_preset_is_tested_above() -> None:
    assert len(PRESETS) == 16


@pytest.mark.parametrize(
    ("name", "path", "live"),
    [
        ("kserve-v2", "/v2/models/iris/ready", "/v2/health/live"),
        ("triton", "/v2/models/iris/ready", "/v2/health/live"),
        ("kserve-v1", "/v1/models/iris", "/"),
        ("tf-serving", "/v1/models/iris", "/v1/models/iris"),
        ("cog", "/health-check", "/health-check"),
        ("openai", "/health", "/health"),
    ],
)
def test_the_checks_of_a_named_model(name: str, path: str, live: str) -> None:
    preset = resolve(name, "iris")
    assert (preset.path, preset.live_path) == (path, live)


def test_a_models_name_is_quoted_in_the_path() -> None:
    assert resolve("kserve-v2", "a/b c?d").path == "/v2/models/a%2Fb%20c%3Fd/ready"


def test_an_unknown_preset_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match="'nope'") as caught:
        resolve("nope", None)
    assert "kserve-v2" in caught.value.hint


@pytest.mark.parametrize("model", [None, "iris"])
@pytest.mark.parametrize("name", PRESETS)
def test_patterns_fit_haproxy_and_python(name: str, model: str | None) -> None:
    preset = resolve(name, model)
    for pattern in (preset.body, preset.failed_body):
        if pattern is not None:
            re.compile(pattern)
            assert re.fullmatch(r'[A-Za-z0-9_ :\\s*"|()\[\].,-]+', pattern)
    for path in (preset.path, preset.live_path):
        assert re.fullmatch(r"/[A-Za-z0-9_./%-]*", path)
    assert preset.statuses[0] <= preset.statuses[1]


COG = '{"status":"%s","setup":{"status":"succeeded","logs":"\\"status\\": \\"DEFUNCT\\""}}'


@pytest.mark.parametrize(
    ("status", "ready", "hopeless"),
    [
        ("READY", True, False),
        ("BUSY", True, False),
        ("STARTING", False, False),
        ("UNHEALTHY", False, False),
        ("SETUP_FAILED", False, True),
        ("DEFUNCT", False, True),
    ],
)
def test_cog_always_answers_200_and_the_body_decides(status: str, ready: bool, hopeless: bool) -> None:
    judgement = ask(resolve("cog", None), COG % status)
    assert (judgement.ready, judgement.hopeless) == (ready, hopeless)


@pytest.mark.parametrize(
    ("body", "ready"),
    [
        ('{"name":"iris","ready":true}', True),
        ('{"name": "iris", "ready": True}', True),
        ('{"name": "iris", "ready": "True"}', True),
        ('{"name":"iris","ready":false}', False),
        ('{"name":"true","ready":"False"}', False),
    ],
)
def test_kserve_v1(body: str, ready: bool) -> None:
    assert ask(resolve("kserve-v1", "iris"), body).ready == ready


def test_kserve_v1_without_a_model_checks_only_the_process() -> None:
    assert ask(resolve("kserve-v1", None), '{"status":"alive"}').ready


@pytest.mark.parametrize(
    ("state", "ready"), [("AVAILABLE", True), ("LOADING", False), ("START", False), ("END", False)]
)
def test_tf_serving(state: str, ready: bool) -> None:
    body = '{\n "model_version_status": [\n  {\n   "version": "1",\n   "state": "%s",\n   "status": {} } ] }'
    judgement = ask(resolve("tf-serving", None), body % state)
    assert (judgement.ready, judgement.hopeless) == (ready, False)


@pytest.mark.parametrize(
    ("body", "ready"),
    [
        ('{\n  "status": "Healthy"\n}', True),
        ('{"health": "healthy!"}', True),
        ('{"status": "Partial Healthy"}', False),
        ('{"status": "Unhealthy"}', False),
    ],
)
def test_torchserve(body: str, ready: bool) -> None:
    assert ask(resolve("torchserve", None), body).ready == ready


def test_sagemaker_requires_status_200() -> None:
    assert ask(resolve("sagemaker", None), "").ready
    assert not ask(resolve("sagemaker", None), "", status=204).ready


@pytest.mark.parametrize("name", ["kserve-v2", "mlflow", "bentoml", "openai"])
def test_the_status_alone_decides_for_the_others(name: str) -> None:
    assert ask(resolve(name, None), "").ready
    assert not ask(resolve(name, None), "", status=503).ready
