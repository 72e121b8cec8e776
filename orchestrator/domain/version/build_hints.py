"""What to do about a build that failed, from the builder's words and the Dockerfile. Pure."""

from __future__ import annotations

import re
from difflib import get_close_matches

GENERAL = "fix the Dockerfile or the build context, then release again"

_INSTRUCTIONS = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
]
# What the classic builder says about a Dockerfile for BuildKit, besides what it says about a mistake.
_REFUSES = re.compile(r"requires BuildKit|unknown flag: ", re.IGNORECASE)
_HEREDOC = re.compile(r"^\s*(?:RUN|COPY|ADD)\b[^\n]*<<-?\s*[\"']?[A-Za-z_]", re.MULTILINE | re.IGNORECASE)
_HEREDOC_ERROR = re.compile(r"unknown instruction|parse error|<<")
_PLATFORM = re.compile(r"\$\{?(?:BUILD|TARGET)(?:PLATFORM|ARCH|OS|VARIANT)\b")
_PLATFORM_ERROR = re.compile(r"platform|invalid component|base name .* should not be blank")
_SYNTAX = re.compile(r"\A\s*#\s*syntax\s*=\s*(?P<image>\S+)")

_UNKNOWN = re.compile(r"unknown instruction: (?P<word>\S+)")
_LINE = re.compile(r"parse error (?:on )?line (?P<line>\d+)|^(?P<file>\S*Dockerfile\S*):(?P<number>\d+)", re.MULTILINE)

# The first that matches the reason, or else the last lines, is used.
_TABLE: tuple[tuple[str, str], ...] = (
    (r"no space left on device", "free some disk: deployctl prune, or docker system df"),
    (
        r"file not found in build context|no source files were specified|COPY failed: .*(no such file|not found)"
        r"|failed to (compute cache key|calculate checksum)[^\n]*not found",
        "a file of COPY or ADD is not in the build context: check its path and .dockerignore",
    ),
    (
        r"target stage .* could not be found|failed to reach build target|failed to find stage",
        "check build.target: the Dockerfile has no stage of this name (FROM … AS name)",
    ),
    (
        r"pull access denied|repository does not exist|manifest (?:for \S+ )?(?:unknown|not found)|insufficient_scope"
        r"|(?:load|resolve) (?:metadata|source)[^\n]*not found|failed to resolve source metadata[^\n]*not found",
        "check the name of the base image (FROM); if it is private: docker login",
    ),
    (
        r"toomanyrequests|pull rate limit",
        "the registry of the base image limits pulls: docker login, or try later",
    ),
    (
        r"(?:https?://\S+|registry\S*|lookup|failed to do request|failed to resolve|dial tcp)[^\n]*"
        r"(?:no such host|i/o timeout|connection refused|network is unreachable|handshake timeout|deadline exceeded)",
        "the engine cannot reach the registry of the base image (FROM): check its network, DNS and proxy",
    ),
    (
        r"Temporary failure (?:in name resolution|resolving)|Could not resolve host|Name or service not known"
        r"|Network is unreachable|Max retries exceeded|Could not connect to|Failed to fetch|bad address"
        r"|Failed to establish a new connection|EAI_AGAIN|ENOTFOUND",
        "a command of the build cannot reach the network: check the DNS of the engine, and name a proxy in build.args"
        " (HTTP_PROXY, HTTPS_PROXY)",
    ),
    (r"exec format error|no match for platform", "an image or program in it is for another platform: check FROM"),
    (
        r"exit code:? 137|returned a non-zero code: 137|signal: killed",
        "a command was killed: too little memory",
    ),
    (
        r"returned a non-zero code: 127|exit code:? 127",
        "a command was not found in the image: see its last lines",
    ),
)


def build_hint(why: str, lines: str, dockerfile: str, *, classic: bool, builder: str) -> str:
    """What to do about a failed build.

    `why` is the builder's reason, `lines` its last lines, `dockerfile` the text. `classic` tells which builder ran,
    `builder` is `build.builder`.
    """
    feature = _needs_buildkit(why, dockerfile) if classic else None
    if feature is not None:
        chosen = ', and set build.builder = "auto"' if builder == "classic" else ""
        return f"this Dockerfile needs BuildKit: install docker-buildx-plugin{chosen}{feature}"
    if typo := _typo(why, lines):
        return typo
    syntax = _SYNTAX.match(dockerfile)
    if syntax and syntax["image"] in f"{why}\n{lines}" and not classic:
        return f"BuildKit cannot load {syntax['image']}: check its name and the network, or remove the line '# syntax='"
    for text in (why, lines):
        for pattern, hint in _TABLE:
            if re.search(pattern, text, re.IGNORECASE):
                return hint
    return GENERAL


def _needs_buildkit(why: str, dockerfile: str) -> str | None:
    """What of the Dockerfile only BuildKit supports, in parentheses or empty; None when it is not the reason."""
    if _REFUSES.search(why):
        return ""
    if _HEREDOC.search(dockerfile) and _HEREDOC_ERROR.search(why):
        return " (it has a heredoc, <<)"
    variable = _PLATFORM.search(dockerfile)
    if variable and _PLATFORM_ERROR.search(why):
        return f" (only BuildKit sets {variable[0].replace('{', '')})"
    return None


def _typo(why: str, lines: str) -> str:
    place = _LINE.search(why) or _LINE.search(lines)
    where = f"line {place['line'] or place['number']} of the Dockerfile" if place else "the Dockerfile"
    if match := _UNKNOWN.search(why):
        word = match["word"].upper()
        close = get_close_matches(word, _INSTRUCTIONS, 1)
        meant = f" (did you mean {close[0]}?)" if close else ""
        return f"fix {where}: there is no instruction {word}{meant}"
    if re.search(r"parse error|cannot be empty|no build stage in current context|requires (exactly|at least)", why):
        return f"fix {where}"
    return ""
