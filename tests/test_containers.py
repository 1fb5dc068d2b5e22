"""The CPU quota of control groups, version 1 and 2, nested, mounted anywhere: on made-up file systems."""

from __future__ import annotations

from pathlib import Path

import pytest

from convlite import _threads


def tree(root: Path, files: dict[str, str]) -> Path:
    """A file system of these files."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("150000 100000\n", 1.5),
        ("400000 100000\n", 4.0),
        ("50000 100000", 0.5),
        ("max 100000\n", None),
        ("max\n", None),
        ("\n", None),
        ("100000 0\n", None),
        ("nonsense here\n", None),
        ("-1 100000", None),
        ("inf 100000", None),
        ("nan nan", None),
        ("\xff", None),
    ],
)
def test_quota_of_cgroup_2(tmp_path: Path, text: str, want: float | None) -> None:
    assert _threads.cgroup_quota(tree(tmp_path, {"sys/fs/cgroup/cpu.max": text})) == want


@pytest.mark.parametrize(("quota", "want"), [("250000", 2.5), ("-1", None), ("0", None), ("", None)])
def test_quota_of_cgroup_1(tmp_path: Path, quota: str, want: float | None) -> None:
    folder = "sys/fs/cgroup/cpu/"
    assert _threads.cgroup_quota(tree(tmp_path, {folder + "cpu.cfs_quota_us": f"{quota}\n"})) is None
    assert _threads.cgroup_quota(tree(tmp_path, {folder + "cpu.cfs_period_us": "100000\n"})) == want


V1 = "33 32 0:29 {} /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
V1_MEMORY = "34 32 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
V2 = "30 23 0:26 {} {} rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
MOUNT2 = "sys/fs/cgroup"
MOUNT1 = "sys/fs/cgroup/cpu,cpuacct"


def v1(folder: str, quota: int) -> dict[str, str]:
    return {f"{folder}/cpu.cfs_quota_us": f"{quota}", f"{folder}/cpu.cfs_period_us": "100000"}


GROUPS: dict[str, tuple[str, str, dict[str, str], float | None]] = {
    # a systemd service: the quota of its slice is the least of them
    "v2, nested": (
        "0::/a.slice/b.service\n",
        V2.format("/", "/sys/fs/cgroup"),
        {
            f"{MOUNT2}/a.slice/cpu.max": "150000 100000",
            f"{MOUNT2}/a.slice/b.service/cpu.max": "300000 100000",
            f"{MOUNT2}/a.slice/other.service/cpu.max": "10000 100000",
        },
        1.5,
    ),
    "v2, innermost": (
        "0::/a/b\n",
        V2.format("/", "/sys/fs/cgroup"),
        {f"{MOUNT2}/a/cpu.max": "max 100000", f"{MOUNT2}/a/b/cpu.max": "200000 100000"},
        2.0,
    ),
    "v2, mounted elsewhere, a blank in its name": (
        "0::/a\n",
        V2.format("/", "/my\\040groups"),
        {"my groups/a/cpu.max": "70000 100000"},
        0.7,
    ),
    "v2, the container's group is the mount's root": (
        "0::/docker/abc/inner\n",
        V2.format("/docker/abc", "/sys/fs/cgroup"),
        {f"{MOUNT2}/cpu.max": "400000 100000", f"{MOUNT2}/inner/cpu.max": "300000 100000"},
        3.0,
    ),
    "v2, a group outside of the namespace": (
        "0::/../other\n",
        V2.format("/..", "/sys/fs/cgroup"),
        {f"{MOUNT2}/cpu.max": "400000 100000"},
        4.0,
    ),
    "v1, nested": (
        "5:memory:/job\n4:cpu,cpuacct:/job/step\n",
        V1_MEMORY + V1.format("/"),
        {
            **v1(f"{MOUNT1}/job", 250000),
            **v1(f"{MOUNT1}/job/step", -1),
            **v1("sys/fs/cgroup/memory/job", 1000),
        },
        2.5,
    ),
    "v1, docker: the host's path under the mount's root": (
        "4:cpu,cpuacct:/docker/abc\n",
        V1.format("/docker/abc"),
        v1(MOUNT1, 150000),
        1.5,
    ),
    "both": (
        "4:cpu,cpuacct:/x\n0::/x\n",
        V1.format("/") + V2.format("/", "/sys/fs/cgroup/unified"),
        {**v1(f"{MOUNT1}/x", 600000), "sys/fs/cgroup/unified/x/cpu.max": "500000 100000"},
        5.0,
    ),
    "cpuset is not cpu": (
        "4:cpuset:/x\n",
        "33 32 0:29 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n",
        v1("sys/fs/cgroup/cpuset/x", 100000),
        None,
    ),
    "no quota": ("0::/a\n", V2.format("/", "/sys/fs/cgroup"), {f"{MOUNT2}/a/cpu.max": "max 100000"}, None),
    "broken lines": (
        "\nnonsense\n0::\n:::\n",
        "\nnonsense\n1 2 3 - cgroup2\n - cgroup2 a b\n1 2 3 4 5 - cgroup2 a b\n",
        {},
        None,
    ),
}


@pytest.mark.parametrize("name", GROUPS)
def test_quota_of_nested_groups(tmp_path: Path, name: str) -> None:
    groups, mounts, files, want = GROUPS[name]
    root = tree(tmp_path, {"proc/self/cgroup": groups, "proc/self/mountinfo": mounts, **files})
    assert _threads.cgroup_quota(root) == want


def test_no_cgroup(tmp_path: Path) -> None:
    assert _threads.cgroup_quota(tmp_path / "nowhere") is None
