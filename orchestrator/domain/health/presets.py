r"""The readiness checks of common model servers. Pure.

`port` is the default of the server's own image; `port` in `[app]` overrides it. `live_path` answers as soon as
the process runs; `path` answers only when the model can be used. `body` and `failed_body` are matched by
Python and by HAProxy (`http-check expect rstring`), so they use only the syntax that both support.
They match the quotes around keys and values: logs inside a JSON body have escaped quotes and cannot match.

kserve-v2   https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol: 200 or 4xx,
            bodies are optional, so the status decides. KServe's own servers and MLServer listen on 8080
            (https://docs.seldon.ai/mlserver/api-reference/cli). Triton speaks the same protocol on 8000
            (https://github.com/triton-inference-server/server, docs/getting_started/quickstart.md): set
            `port = 8000` in `[app]`. Set the model's name if there is one: older KServe servers answer
            /v2/health/ready without a check (python/kserve/kserve/protocol/rest/v2_endpoints.py).
kserve-v1   https://kserve.github.io/website/latest/modelserving/data_plane/v1_protocol: {"name": …, "ready":
            bool}, where custom servers also print Python's or a quoted True. Without a model there is
            only "/", which says no more than that the process is alive (python/kserve/…/protocol/rest/server.py).
tf-serving  https://github.com/tensorflow/serving/blob/master/tensorflow_serving/g3doc/api_rest.md: the state
            of every version of a model; its image serves MODEL_NAME=model on 8501. No state means a
            permanent failure: END also marks an old version that a newer one replaced.
torchserve  https://github.com/pytorch/serve/blob/master/docs/inference_api.md: "Healthy", or "Partial
            Healthy" and "Unhealthy" while workers are missing (frontend/server/…/util/ApiUtils.java); older
            ones say {"health": "healthy!"}. It listens on localhost until `inference_address` says otherwise.
cog         https://github.com/replicate/cog/blob/main/docs/http.md: always 200, the body decides. STARTING:
            setup() runs. BUSY: ready, all slots are in use; a busy server must not count as broken.
            UNHEALTHY: its own check failed, which may be temporary. SETUP_FAILED and DEFUNCT are permanent.
mlflow      https://github.com/mlflow/mlflow/blob/master/mlflow/pyfunc/scoring_server/__init__.py: /ping and
            /health are one check, and every version has /ping; images of `mlflow models build-docker` listen
            on 8080 (mlflow/models/container/__init__.py).
sagemaker   https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html: /ping on
            8080 answers 200, and only 200, within 2 s.
bentoml     https://github.com/bentoml/BentoML/blob/main/src/bentoml/_internal/server/base_app.py: /readyz
            also asks the services it depends on, /livez does not; 3000 (default_configuration.yaml).
openai      https://github.com/vllm-project/vllm, docs/usage/security.md: vLLM's /health needs no key, while
            /v1/models answers 401 once `--api-key` is set, and only lists names. /health asks the engine and
            answers 503 when it has stopped (vllm/entrypoints/serve/instrumentator/health.py). The port is 8000
            (docs/serving/openai_compatible_server.md). SGLang, TGI and llama.cpp have a /health too. Servers that
            have none are asked for /v1/models, which all of them have: see `otherwise`.
vllm        as openai: the servers of vLLM and SGLang.
triton      as kserve-v2, on the port of Triton's own HTTP endpoint.
llama.cpp   https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md: /health answers 503 while the
            model is loaded. Its images listen on all addresses, the program itself on localhost.
ollama      https://github.com/ollama/ollama/blob/main/docs/api.md: models are loaded at their first request, so the
            check says no more than that the server answers.
tgi         https://huggingface.co/docs/text-generation-inference: /health asks the model's shards and answers 503
            while they are not ready. Its images listen on 80 (the variable PORT).
litserve    https://lightning.ai/docs/litserve: /health answers 503 until all workers have loaded the model.
ray         https://docs.ray.io/en/latest/serve: /-/healthz of the HTTP proxy answers 200 once the applications have
            routes and 503 while it drains.
"""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote

from orchestrator.errors import UsageError
from orchestrator.frozen import frozen


@frozen
class Preset:
    """The checks of one kind of model server. `model_path` and `model_body` replace `path` and `body` when a model
    is named. `needs_model`: the server has no check without a model's name (`path` uses the name "model").
    `otherwise` are paths that some servers have instead of `path`, as in `ProbeSpec`.
    """

    name: str
    path: str
    live_path: str
    port: int
    body: str | None = None
    failed_body: str | None = None
    statuses: tuple[int, int] = (200, 299)
    needs_model: bool = False
    model_path: str | None = None
    model_body: str | None = None
    otherwise: tuple[str, ...] = ()


# ` *` instead of `\s*`: `?` and backslashes would need quoting in HAProxy's configuration.
_TF_AVAILABLE = '"state" *: *"AVAILABLE"'
_KSERVE_READY = '"ready" *: *"*[Tt]rue'

PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset(
            name="kserve-v2",
            path="/v2/health/ready",
            live_path="/v2/health/live",
            port=8080,
            model_path="/v2/models/{model}/ready",
        ),
        Preset(
            name="kserve-v1",
            path="/",
            live_path="/",
            port=8080,
            model_path="/v1/models/{model}",
            model_body=_KSERVE_READY,
        ),
        Preset(
            name="tf-serving",
            path="/v1/models/model",
            live_path="/v1/models/model",
            port=8501,
            body=_TF_AVAILABLE,
            needs_model=True,
            model_path="/v1/models/{model}",
            model_body=_TF_AVAILABLE,
        ),
        Preset(
            name="torchserve",
            path="/ping",
            live_path="/ping",
            port=8080,
            body='"(status|health)" *: *"[Hh]ealthy',
        ),
        Preset(
            name="cog",
            path="/health-check",
            live_path="/health-check",
            port=5000,
            body='"status" *: *"(READY|BUSY)"',
            failed_body='"status" *: *"(SETUP_FAILED|DEFUNCT)"',
        ),
        Preset(name="mlflow", path="/ping", live_path="/ping", port=8080),
        Preset(name="sagemaker", path="/ping", live_path="/ping", port=8080, statuses=(200, 200)),
        Preset(name="bentoml", path="/readyz", live_path="/livez", port=3000),
        Preset(name="openai", path="/health", live_path="/health", port=8000, otherwise=("/v1/models",)),
        Preset(name="vllm", path="/health", live_path="/health", port=8000),
        Preset(
            name="triton",
            path="/v2/health/ready",
            live_path="/v2/health/live",
            port=8000,
            model_path="/v2/models/{model}/ready",
        ),
        Preset(name="llama.cpp", path="/health", live_path="/health", port=8080),
        Preset(name="ollama", path="/api/version", live_path="/", port=11434),
        Preset(name="tgi", path="/health", live_path="/health", port=80),
        Preset(name="litserve", path="/health", live_path="/health", port=8000),
        Preset(name="ray", path="/-/healthz", live_path="/-/healthz", port=8000),
    )
}


def resolve(preset: str, model: str | None) -> Preset:
    """The preset with its paths filled in. The model's name is ignored when the server does not use it.

    Raises:
        UsageError: there is no such preset.
    """
    known = PRESETS.get(preset)
    if known is None:
        raise UsageError(f"unknown health preset {preset!r}", hint=f"one of: {', '.join(PRESETS)}")
    if model is None or known.model_path is None:
        return known
    path = known.model_path.replace("{model}", quote(model, safe=""))
    # The model's path is the only one that such a server answers.
    live_path = path if known.live_path == known.path and known.needs_model else known.live_path
    return replace(known, path=path, live_path=live_path, body=known.model_body)
