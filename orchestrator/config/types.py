"""The types of the values in deploy.toml. Each converts the written form, and describes it in the JSON Schema."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from orchestrator.config import values as read
from orchestrator.config.explain import Invalid

PresetName = Literal[
    "kserve-v2", "kserve-v1", "tf-serving", "torchserve", "cog", "mlflow", "sagemaker", "bentoml", "openai"
]
PRESET_NAMES: tuple[str, ...] = get_args(PresetName)
MODEL_PRESETS = ("kserve-v2", "kserve-v1", "tf-serving")
"""The presets that can probe one model by its name."""
_NAME = r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$"
_DURATION = WithJsonSchema({"type": "string", "pattern": read.DURATION, "examples": ["500ms", "1m30s"]})
_SIZE = WithJsonSchema(
    {
        "anyOf": [{"type": "string", "pattern": read.SIZE}, {"type": "integer", "minimum": 1}],
        "examples": ["2g"],
    }
)
_ONE_OR_MANY = WithJsonSchema({"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "string"}]})
_SCALAR = WithJsonSchema({"type": ["string", "integer", "number", "boolean"]})
_GPUS = WithJsonSchema({"anyOf": [{"const": "all"}, {"type": "integer", "minimum": 1, "maximum": 1024}]})


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
Duration = Annotated[float, BeforeValidator(read.duration), _DURATION]
DurationOrZero = Annotated[float, BeforeValidator(read.duration_or_zero), _DURATION]
Size = Annotated[int, BeforeValidator(read.size), _SIZE]
Memory = Annotated[int, BeforeValidator(read.memory_size), _SIZE]
Gpus = Annotated[Literal["all"] | int, BeforeValidator(read.gpus), _GPUS]
Words = Annotated[list[Word], BeforeValidator(read.command), _ONE_OR_MANY]
Hosts = Annotated[list[Annotated[str, AfterValidator(read.host_name)]], BeforeValidator(read.one_or_many), _ONE_OR_MANY]
IgnorePattern = Annotated[str, AfterValidator(read.ignore_pattern)]
Trusted = Annotated[
    Literal["loopback", "all"] | list[str],
    BeforeValidator(read.trusted),
    WithJsonSchema({"anyOf": [{"enum": ["loopback", "all"]}, {"type": "array", "items": {"type": "string"}}]}),
]
ContainerPath = Annotated[str, AfterValidator(read.container_path)]
Volume = Annotated[str, AfterValidator(read.volume)]
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
