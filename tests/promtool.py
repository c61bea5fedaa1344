"""promtool: the one of this machine, or out of a Debian package into a cache of the user's. No root is needed."""

import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from harness import missing

PACKAGE = "prometheus=2.42*"
"""Of Debian 12. Newer ones do as well: what is asked of it has been in promtool since 2.30."""

HOME = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "rendercast-tests" / "promtool-2.42"


def promtool(*arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    """What it says, and its status. Skips, in CI fails, where it is not to be had."""
    return subprocess.run(
        [_path(), *arguments], input=given, capture_output=True, text=True, timeout=60, check=False
    )  # fmt: skip


def _path() -> str:
    if found := shutil.which("promtool"):
        return found
    kept = HOME / "promtool"
    HOME.mkdir(parents=True, exist_ok=True)
    with (HOME / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            _unpack(kept)
    return str(kept)


def _unpack(kept: Path) -> None:
    with tempfile.TemporaryDirectory() as found:
        directory = Path(found)
        try:
            if not _downloaded(directory):
                subprocess.run(["apt-get", "update"], capture_output=True, timeout=300, check=False)
                if not _downloaded(directory):
                    missing(f"promtool: there is none, and apt-get download {PACKAGE} brings none")
            [package] = directory.glob("*.deb")
            subprocess.run(["dpkg-deb", "-x", package, directory / "x"], capture_output=True, timeout=120, check=True)
        except (FileNotFoundError, subprocess.SubprocessError) as error:
            missing(f"promtool: there is none, and it could not be had from Debian's package: {error}")
        new = kept.with_suffix(".new")
        shutil.copy(directory / "x" / "usr" / "bin" / "promtool", new)
        new.rename(kept)


def _downloaded(directory: Path) -> bool:
    done = subprocess.run(
        ["apt-get", "download", PACKAGE], cwd=directory, capture_output=True, timeout=300, check=False
    )  # fmt: skip
    return done.returncode == 0
