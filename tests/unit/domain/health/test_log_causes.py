"""Causes that logs name. The lines are as the programs print them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.domain.health.log_causes import log_cause
from orchestrator.domain.rollout.workload import Runtime

RUNTIME = Runtime()
THREE = 'run.cap_add = ["CHOWN", "SETGID", "SETUID"]'


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ('nginx: [emerg] chown("/var/lib/nginx/body", 33) failed (1: Operation not permitted)', THREE),
        ("2026/11/27 08:51:26 [emerg] 7#7: setgid(33) failed (1: Operation not permitted)", THREE),
        ("2026/11/27 08:51:26 [emerg] 7#7: initgroups(www-data, 33) failed (1: Operation not permitted)", THREE),
        ("setgid(): Operation not permitted [core/uwsgi.c line 1234]", THREE),
        ("chown: changing ownership of '/data': Operation not permitted", THREE),
        ("PermissionError: [Errno 1] Operation not permitted: os.setuid", THREE),
        ("bind() to 0.0.0.0:80 failed (13: Permission denied)", 'run.cap_add = ["NET_BIND_SERVICE"]'),
        ("Error: listen EACCES: permission denied 0.0.0.0:80", "ports below 1024 are privileged"),
        ("mlockall failed: Operation not permitted", "IPC_LOCK"),
        ("set_mempolicy: Operation not permitted", "SYS_NICE"),
        ("unshare: something: Operation not permitted", "run.cap_add"),
        ("PermissionError: [Errno 13] Permission denied: '/root/.cache/huggingface/x'", "run.user"),
        ("mkdir: cannot create directory '/data': Permission denied", 'run.cap_add = ["DAC_OVERRIDE"]'),
        ("java.nio.file.AccessDeniedException: EACCES", "run.user"),
        ("sudo: effective uid is not 0, is sudo installed setuid root?", "run.no_new_privileges = false"),
        ("s6-overlay-suexec: fatal: can only run as pid 1", "run.init = false"),
        ("OSError: [Errno 30] Read-only file system: '/app/cache'", "mounted read-only"),
        ("RuntimeError: unable to open shared memory object </torch_12> in read-write mode", "run.shm_size"),
        ("OSError: [Errno 28] No space left on device: '/psm_1234'", "run.shm_size"),
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB", "the GPU has too little memory"),
        ("RuntimeError: Found no NVIDIA driver on your system.", "run.gpus"),
        ("MemoryError", "run.memory"),
        ("terminate called after throwing an instance of 'std::bad_alloc'", "run.memory"),
        ('Exception in thread "main" java.lang.OutOfMemoryError: Java heap space', "run.memory"),
        ("RuntimeError: can't start new thread", "run.pids_limit"),
        ("OSError: [Errno 98] Address already in use", "listen on the same port"),
        ("exec /entrypoint.sh: exec format error", "another platform"),
        ("[FATAL tini (7)] exec serve failed: No such file or directory", "run.command"),
        ("[FATAL tini (7)] exec /run.sh failed: No such file or directory", "CR LF"),
        ("[FATAL tini (7)] exec /run.sh failed: Permission denied", "chmod +x"),
        ("/bin/sh: 1: gunicorn: not found", "run.command"),
        (
            "OSError: libcudart.so.12: cannot open shared object file: No such file or directory",
            "a base image with CUDA",
        ),
        ("serve: error while loading shared libraries: libgomp.so.1: cannot open shared object file", "libgomp.so.1"),
        ("ModuleNotFoundError: No module named 'torch'", "the Python module torch"),
        ("SyntaxError: invalid syntax", "the program does not load"),
        ("AssertionError: Torch not compiled with CUDA enabled", "PyTorch without CUDA"),
        ("RuntimeError: CUDA error: no kernel image is available for execution on the device", "for this GPU"),
        ("KeyError: 'HF_TOKEN'", "set HF_TOKEN in run.env"),
        ("FileNotFoundError: [Errno 2] No such file or directory: '/model/weights.bin'", "model.path and model.mount"),
        ("serve.py: error: the following arguments are required: --model", "run.command"),
        ("PermissionError: [Errno 13] Permission denied: os.setpriority", "run.user"),
        ("setpriority(PRIO_PROCESS, 0, -10): Permission denied", "SYS_NICE"),
        ("socket.gaierror: [Errno -3] Temporary failure in name resolution", "cannot reach a server"),
    ],
)
def test_a_line_has_its_advice(line: str, part: str) -> None:
    cause = log_cause(["starting", line], RUNTIME)
    assert cause is not None
    assert part in cause.hint
    assert cause.why == f"its log says: {line}"


@pytest.mark.parametrize(
    "line", ["starting", "loading the weights", "", "ValueError: no weights", "GET /x 200", "KeyError: 'weights'"]
)
def test_other_lines_name_no_cause(line: str) -> None:
    assert log_cause([line], RUNTIME) is None
    assert log_cause([], RUNTIME) is None


def test_a_warning_long_before_the_end_is_not_the_reason() -> None:
    lines = ["set_mempolicy: Operation not permitted", *["loading"] * 30]
    assert log_cause(lines, RUNTIME) is None


def test_a_line_does_not_end_the_wait_unless_the_program_gives_up() -> None:
    lines = ["[emerg] 7#7: setgid(33) failed (1: Operation not permitted)"]
    cause = log_cause(lines, RUNTIME)
    assert cause is not None
    assert cause.patience is None
    lines.append("[alert] 6#6: worker process 7 exited with fatal code 2 and cannot be respawned")
    cause = log_cause(lines, RUNTIME)
    assert cause is not None
    assert cause.patience is not None
    assert THREE in cause.hint
    alone = log_cause(["INFO gave up: model entered FATAL state, too many start retries too quickly"], RUNTIME)
    assert alone is not None
    assert alone.patience is not None


def test_what_is_set_already_is_not_advised() -> None:
    chown = 'chown("/x", 33) failed (1: Operation not permitted)'
    some = log_cause([chown], replace(RUNTIME, cap_add=("CHOWN",)))
    assert some is not None
    assert 'run.cap_add = ["CHOWN", "SETGID", "SETUID"]' in some.hint
    every = log_cause([chown], replace(RUNTIME, cap_add=("CHOWN", "SETGID", "SETUID")))
    assert every is not None
    assert "docker run" in every.hint
    assert log_cause(["s6-overlay-suexec: fatal: can only run as pid 1"], replace(RUNTIME, init=False)) is None


def test_capabilities_do_not_help_another_user() -> None:
    cause = log_cause(["setgid(33) failed: Operation not permitted"], replace(RUNTIME, user="1000:1000"))
    assert cause is not None
    assert "the user 1000:1000 may not do that" in cause.hint
    cause = log_cause(["open /data/x: Permission denied"], replace(RUNTIME, user="app"))
    assert cause is not None
    assert "accessible to the user app" in cause.hint
    assert "DAC_OVERRIDE" not in cause.hint


@pytest.mark.parametrize(
    "line",
    [
        "FileNotFoundError: [Errno 2] No usable temporary directory found in ['/tmp', '/var/tmp', '/usr/tmp', '/']",
        "OSError: [Errno 30] Read-only file system: '/app/x'",
    ],
)
def test_a_read_only_container_may_have_a_temporary_folder(line: str) -> None:
    cause = log_cause([line], replace(RUNTIME, read_only=True))
    assert cause is not None
    assert 'run.tmpfs = ["/tmp"]' in cause.hint


def test_a_long_line_is_cut() -> None:
    cause = log_cause(["MemoryError " + "x" * 5000], RUNTIME)
    assert cause is not None
    assert len(cause.why) < 300
