"""How the process of a container has ended, in words. Pure."""

from __future__ import annotations

import signal

from orchestrator.frozen import frozen

# What the default action of a signal means, as shells print it. Not signal.strsignal: its texts depend on the system.
_MEANINGS = {
    "SIGHUP": "hangup",
    "SIGINT": "interrupt",
    "SIGQUIT": "quit",
    "SIGILL": "illegal instruction",
    "SIGTRAP": "trace trap",
    "SIGABRT": "aborted",
    "SIGBUS": "bus error",
    "SIGFPE": "arithmetic error",
    "SIGKILL": "killed",
    "SIGSEGV": "segmentation fault",
    "SIGPIPE": "broken pipe",
    "SIGTERM": "terminated",
    "SIGXCPU": "CPU time limit exceeded",
    "SIGXFSZ": "file size limit exceeded",
    "SIGSYS": "bad system call",
}
# A shell and an init process report the end by signal N as 128 + N.
_SIGNALLED = 128
_LAST_SIGNAL = 64


@frozen
class Ending:
    """How a container has ended: `exit_code`, and whether the kernel killed a process of it for lack of memory."""

    exit_code: int
    out_of_memory: bool = False

    @property
    def signal(self) -> str:
        """The name of the signal that ended it, such as `SIGSEGV`; empty when none did."""
        number = self.exit_code - _SIGNALLED
        if not 0 < number <= _LAST_SIGNAL:
            return ""
        try:
            return signal.Signals(number).name
        except ValueError:
            return f"signal {number}"

    def __str__(self) -> str:
        text = f"exit code {self.exit_code}"
        if self.out_of_memory:
            return f"{text} (out of memory: the kernel killed a process of it)"
        name = self.signal
        if name:
            meaning = _MEANINGS.get(name)
            return f"{text} ({name}, {meaning})" if meaning else f"{text} ({name})"
        return text


def hint(ending: Ending, memory: int | None) -> str:
    """What to do about an ending that needs no log to be understood; empty for all others. `memory` is in bytes."""
    if ending.out_of_memory:
        return memory_hint(memory)
    if ending.exit_code == 0:
        return "its command ended by itself: a server must stay in the foreground; check run.command and the CMD"
    return {
        "SIGKILL": "if nobody killed it, the host had no memory left: docker events and dmesg say so; see run.memory",
        "SIGILL": "the image was built for a CPU with other instructions (such as AVX): build it for this machine",
        "SIGBUS": "shared memory may be full: increase run.shm_size",
        "SIGSYS": "the engine's seccomp profile forbids a system call: check the versions of the engine and the image",
    }.get(ending.signal, "")


def memory_hint(memory: int | None) -> str:
    """What to do about a version that needs more memory than it gets. `memory` is its limit in bytes."""
    if memory is None:
        return "the host has too little memory for it: free some, or use a smaller model; run.memory sets a limit"
    return f"increase run.memory (now {_size(memory)}), or use a smaller model"


def _size(count: int) -> str:
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if count >= unit:
            return f"{count / unit:.4g} {name}"
    return f"{count} bytes"
