"""What the machine has, and what containers use: files of the kernel, and nvidia-smi."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.adapters.posix import capacity
from orchestrator.adapters.posix.host import LocalHost
from orchestrator.domain.rollout.gpu_fit import Gpu, Gpus

ID = "5f" * 32
V1_STAT = "cache 900\nrss 1\nshmem 1\ntotal_cache 950\ntotal_rss 4096\ntotal_shmem 1024\n"
V2_STAT = "anon 4096\nfile 9000\nkernel 77\nshmem 1024\n"


def meminfo(
    proc: Path, text: str = "MemTotal:  1000 kB\nMemFree: 1 kB\nMemAvailable:  600 kB\nHugePages_Total: 0\n"
) -> None:
    proc.mkdir(exist_ok=True)
    (proc / "meminfo").write_text(text)


def test_the_memory_of_this_machine() -> None:
    found = LocalHost().memory()
    assert found is not None
    assert found.total == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 0 < found.available <= found.total and found.kernel == os.uname().release


def test_available_memory(tmp_path: Path) -> None:
    meminfo(tmp_path)
    found = capacity.memory(tmp_path)
    assert found is not None and (found.total, found.available) == (1000 << 10, 600 << 10)


def test_the_cache_of_zfs_is_available(tmp_path: Path) -> None:
    meminfo(tmp_path)
    (tmp_path / "spl" / "kstat" / "zfs").mkdir(parents=True)
    stats = tmp_path / "spl" / "kstat" / "zfs" / "arcstats"
    stats.write_text(
        "9 1 0x01 123 33456 1 2\nname type data\nc_min                           4    1000\nsize  4    5000\n"
    )
    found = capacity.memory(tmp_path)
    assert found is not None and found.available == (600 << 10) + 4000


@pytest.mark.parametrize("text", ["", "MemTotal: 1 kB\n", "MemTotal: x kB\nMemAvailable: 1 kB\n", "MemTotal:\n"])
def test_memory_that_is_not_told(tmp_path: Path, text: str) -> None:
    meminfo(tmp_path, text)
    assert capacity.memory(tmp_path) is None
    assert capacity.memory(tmp_path / "missing") is None


@pytest.mark.parametrize(
    ("rows", "folder", "stat"),
    [
        (f"9:name=systemd:/x\n4:memory:/docker/{ID}\n0::/docker/{ID}\n", f"memory/docker/{ID}", V1_STAT),
        (f"4:cpu,memory:/docker/{ID}/inside/it\n", f"memory/docker/{ID}", V1_STAT),
        (f"0::/system.slice/docker-{ID}.scope\n", f"system.slice/docker-{ID}.scope", V2_STAT),
        (f"0::/system.slice/docker-{ID}.scope/init\n", f"system.slice/docker-{ID}.scope", V2_STAT),
        (f"1:name=systemd:/x\n0::/docker/{ID}\n", f"docker/{ID}", V2_STAT),
    ],
)
def test_the_memory_of_a_container_is_without_page_cache(tmp_path: Path, rows: str, folder: str, stat: str) -> None:
    proc, groups = tmp_path / "proc", tmp_path / "groups"
    (proc / "12").mkdir(parents=True)
    (proc / "12" / "cgroup").write_text(rows)
    (groups / folder).mkdir(parents=True)
    (groups / folder / "memory.stat").write_text(stat)
    host = LocalHost(proc=proc, groups=groups)
    assert host.memory_of(ID, 12) == 5120
    assert host.memory_of(ID, 13) is None  # no such process
    assert host.memory_of("6f" * 32, 12) is None  # the number belongs to another process now
    (groups / folder / "memory.stat").write_text("unknown 1\n")
    assert host.memory_of(ID, 12) is None
    (groups / folder / "memory.stat").unlink()
    assert host.memory_of(ID, 12) is None


SMI = """#!/bin/sh
case "$1" in
--query-gpu=index,uuid,memory.total,memory.free) cat <<'END'
{gpus}
END
;;
--query-compute-apps=gpu_uuid,pid,used_gpu_memory) cat <<'END'
{processes}
END
;;
*) exit 9 ;;
esac
"""


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalHost:
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    for pid, group in ((41, ID), (42, ID), (43, "another")):
        (tmp_path / "proc" / str(pid)).mkdir(parents=True)
        (tmp_path / "proc" / str(pid) / "cgroup").write_text(f"0::/docker/{group}\n")
    return LocalHost(proc=tmp_path / "proc")


def smi(host: LocalHost, text: str) -> None:
    program = Path(host.environ["PATH"].partition(":")[0]) / "nvidia-smi"
    program.write_text(text)
    program.chmod(0o755)


def test_the_gpus_and_what_containers_hold(host: LocalHost) -> None:
    gpus = "0, GPU-aa, 81559, 30000\n1, GPU-bb, 81559, 81000\n2, GPU-cc, [N/A], [N/A]"
    processes = "GPU-aa, 41, 100\nGPU-aa, 42, 50\nGPU-aa, 43, 7\nGPU-aa, 99, 8\nGPU-bb, 41, [N/A]"
    smi(host, SMI.format(gpus=gpus, processes=processes))
    mib = 1 << 20
    assert host.gpus({ID}) == Gpus(
        (
            Gpu(0, "GPU-aa", 81559 * mib, 30000 * mib, {ID: 150 * mib}),
            Gpu(1, "GPU-bb", 81559 * mib, 81000 * mib, {}),
        )
    )


def test_a_machine_without_gpus(host: LocalHost) -> None:
    assert host.gpus({ID}) == Gpus()


@pytest.mark.parametrize(
    ("text", "trouble"),
    [
        ("#!/bin/sh\necho NVIDIA-SMI has failed; exit 9\n", "nvidia-smi ended with exit code 9: NVIDIA-SMI has failed"),
        ("#!/bin/sh\nexit 2\n", "nvidia-smi ended with exit code 2: "),
        ("#!/bin/sh\nexec sleep 20\n", "nvidia-smi did not answer within 0.2 s"),
        ("#!/no/such/program\n", "nvidia-smi cannot be run: No such file or directory"),
    ],
)
def test_gpus_that_cannot_be_asked(host: LocalHost, monkeypatch: pytest.MonkeyPatch, text: str, trouble: str) -> None:
    monkeypatch.setattr(capacity, "_SMI_LIMIT", 0.2 if "sleep" in text else 5.0)
    smi(host, text)
    assert host.gpus({ID}) == Gpus(trouble=trouble)
