"""The types of the values in deploy.toml. Each converts the written form, and describes it in the JSON Schema."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from orchestrator.config import run_values as run
from orchestrator.config import values as read
from orchestrator.config.explain import Invalid
from orchestrator.config.session_names import session_name
from orchestrator.domain import durations

PresetName = Literal[
    "kserve-v2",
    "kserve-v1",
    "tf-serving",
    "torchserve",
    "cog",
    "mlflow",
    "sagemaker",
    "bentoml",
    "openai",
    "vllm",
    "triton",
    "llama.cpp",
    "ollama",
    "tgi",
    "litserve",
    "ray",
]
PRESET_NAMES: tuple[str, ...] = get_args(PresetName)
MODEL_PRESETS = ("kserve-v2", "kserve-v1", "tf-serving", "triton")
"""The presets that can probe one model by its name."""
_NAME = r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$"
DURATION_SCHEMA = WithJsonSchema({"type": "string", "pattern": durations.PATTERN, "examples": ["500ms", "1m30s"]})
SIZE_SCHEMA = WithJsonSchema(
    {
        "anyOf": [{"type": "string", "pattern": read.SIZE}, {"type": "integer", "minimum": 1}],
        "examples": ["2g"],
    }
)
_ONE_OR_MANY = WithJsonSchema({"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "string"}]})
_SCALAR = WithJsonSchema({"type": ["string", "integer", "number", "boolean"]})
_IDS = {"type": "array", "minItems": 1, "items": {"type": ["string", "integer"]}}
_GPUS = WithJsonSchema(
    {
        "anyOf": [
            {"const": "all"},
            {"type": "integer", "minimum": 1, "maximum": 1024},
            _IDS,
            {"type": "object", "properties": {"blue": _IDS, "green": _IDS}, "required": ["blue", "green"]},
        ],
        "examples": [["0", "1"]],
    }
)
_EXTRA_HOSTS = WithJsonSchema(
    {
        "anyOf": [
            {"type": "object", "additionalProperties": {"type": "string"}},
            {"type": "array", "items": {"type": "string"}},
        ],
        "examples": [{"db.internal": "10.0.0.5", "host.docker.internal": "host-gateway"}],
    }
)
_ULIMIT = WithJsonSchema({"type": ["integer", "string"], "pattern": "^(-1|[0-9]+)(:(-1|[0-9]+))?$", "minimum": -1})


def _not_reserved(name: str) -> str:
    if name == "deployctl":
        raise Invalid("'deployctl' is reserved for the network of deployctl")
    return name


def matching(pattern: str, words: str) -> tuple[AfterValidator, WithJsonSchema]:
    """Text that matches a pattern; `words` say what is expected."""
    schema = {"type": "string", "pattern": f"^{pattern.strip('^$')}$"}
    return AfterValidator(read.matching(pattern, words)), WithJsonSchema(schema)


Text = Annotated[str, AfterValidator(read.some_text)]
Word = Annotated[str, AfterValidator(read.plain_text)]
AppName = Annotated[
    str,
    *matching(_NAME, "expected at most 40 lowercase letters, digits and hyphens, no hyphen first or last"),
    AfterValidator(_not_reserved),
]
Variable = Annotated[str, *matching(read.VARIABLE, "expected letters, digits and underscores, no digit first")]
ArgValue = Annotated[str, BeforeValidator(read.scalar), AfterValidator(read.plain_text), _SCALAR]
EnvValue = Annotated[str, BeforeValidator(read.scalar), AfterValidator(read.env_text), _SCALAR]
SecretName = Annotated[
    str,
    *matching(read.SECRET_NAME, "expected a file name of letters, digits and ._-, no dot first"),
]
SecretSource = Annotated[
    str,
    AfterValidator(read.secret_source),
    WithJsonSchema({"type": "string", "pattern": read.SECRET_SOURCE, "examples": ["env:HF_TOKEN", "file:db.txt"]}),
]
Stage = Annotated[str, *matching(r"[A-Za-z0-9][A-Za-z0-9_.-]*", "expected the name of a build stage")]
User = Annotated[str, *matching(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(:[A-Za-z0-9_.-]+)?", 'expected "user" or "user:group"')]
Capability = Annotated[str, *matching(r"[A-Z][A-Z0-9_]*", 'expected a capability such as "SYS_NICE"')]
ModelName = Annotated[str, *matching(r"[A-Za-z0-9_][A-Za-z0-9._~-]{0,127}", "expected letters, digits, ._~-")]
Duration = Annotated[float, BeforeValidator(read.duration), DURATION_SCHEMA]
DurationOrZero = Annotated[float, BeforeValidator(read.duration_or_zero), DURATION_SCHEMA]
Size = Annotated[int, BeforeValidator(read.size), SIZE_SCHEMA]
Memory = Annotated[int, BeforeValidator(read.memory_size), SIZE_SCHEMA]
Gpus = Annotated[
    Literal["all"] | int | list[str] | dict[Literal["blue", "green"], list[str]], BeforeValidator(run.gpus), _GPUS
]
Words = Annotated[list[Word], BeforeValidator(read.command), _ONE_OR_MANY]
Hosts = Annotated[list[Annotated[str, AfterValidator(read.host_name)]], BeforeValidator(read.one_or_many), _ONE_OR_MANY]
IgnorePattern = Annotated[str, AfterValidator(read.ignore_pattern)]
Trusted = Annotated[
    Literal["loopback", "all"] | list[str],
    BeforeValidator(read.trusted),
    WithJsonSchema({"anyOf": [{"enum": ["loopback", "all"]}, {"type": "array", "items": {"type": "string"}}]}),
]
Sticky = Annotated[
    str,
    *matching(
        r"(none|cookie|(header|query):[A-Za-z0-9_][A-Za-z0-9._-]{0,63})",
        'expected "none", "cookie", "header:NAME" or "query:NAME", where NAME has letters, digits and ._-',
    ),
    AfterValidator(session_name),
]
ContainerPath = Annotated[str, AfterValidator(run.container_path)]
Volume = Annotated[str, AfterValidator(run.volume)]
Tmpfs = Annotated[list[Annotated[str, AfterValidator(run.tmpfs)]], BeforeValidator(read.one_or_many), _ONE_OR_MANY]
Device = Annotated[str, AfterValidator(run.device)]
Network = Annotated[str, AfterValidator(run.network)]
Address = Annotated[str, AfterValidator(run.address)]
ExtraHosts = Annotated[
    dict[Annotated[str, AfterValidator(run.host_name)], Annotated[str, AfterValidator(run.host_address)]],
    BeforeValidator(run.extra_hosts),
    _EXTRA_HOSTS,
]
UlimitName = Annotated[str, AfterValidator(run.ulimit_name), WithJsonSchema({"enum": list(run.ULIMITS)})]
Ulimit = Annotated[str, BeforeValidator(run.ulimit), _ULIMIT]
LogDriver = Annotated[str, *matching(r"[A-Za-z0-9][A-Za-z0-9_.:/-]*", "expected the name of a logging driver")]
LogOption = Annotated[str, *matching(r"[a-z0-9][a-z0-9_.-]*", 'expected an option such as "syslog-address"')]
Repository = Annotated[str, AfterValidator(read.repository)]


SecretUrl = Annotated[str, AfterValidator(read.secret_url)]
"""A URL that contains passwords or tokens: no message shows it."""
FileName = Annotated[str, AfterValidator(read.file_name)]
"""The path of a file, in a key beside one for URLs: a URL written here by mistake is not shown."""
WebUrl = Annotated[str, AfterValidator(read.web_url)]
"""A secret URL that is called with GET."""


def written(default: float | int | str, written: str, description: str) -> Any:
    """A field with a default; `written` is that default as it is written in the file, for the schema."""
    return Field(default=default, description=description, json_schema_extra={"default": written})
