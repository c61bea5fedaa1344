"""The consumer examples: built by the document's own commands, run as processes, and what they have counted."""

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from harness import eventually, missing

ROOT = Path(__file__).parents[3]
DOCUMENT = ROOT / "docs" / "connect-your-service.md"
TOOLS = {"python": ("python3",), "java": ("java", "mvn"), "go": ("go",)}
BUILT = frozenset(("target", ".venv", "outcomes", "outcomes.db"))
"""What the commands make in the folders."""

BUILD_SECONDS = 600
KEPT_SECONDS = 7 * 86_400
SECONDS = 90
SMALL_JVM = "-Xmx96m -XX:+UseSerialGC -XX:TieredStopAtLevel=1"


def block(name: str, language: str = "sh") -> str:
    """The document's block with this name."""
    found = re.findall(rf"^```{language} {name}\n(.*?)^```$", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE)
    assert len(found) == 1, f"{DOCUMENT.name} has {len(found)} blocks {language} {name}"
    return found[0]


class Example:
    """One language's program: a copy of its folder, in the user's cache directory, built once for each state of it."""

    def __init__(self, language: str) -> None:
        for tool in TOOLS[language]:
            if shutil.which(tool) is None:
                missing(f"the {language} example needs {tool} on the path")
        place, *self._build, self.command = block(language).splitlines()
        self._source = ROOT / place.removeprefix("cd ")
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rendercast" / "examples"
        cache.mkdir(parents=True, exist_ok=True)
        self.directory = cache / f"{language}-{self._state()}"
        with (cache / f"{language}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (self.directory / ".built").exists():
                self._make()
                for other in cache.glob(f"{language}-*"):
                    if other != self.directory and other.stat().st_mtime < time.time() - KEPT_SECONDS:
                        shutil.rmtree(other, ignore_errors=True)

    def _make(self) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)
        shutil.copytree(self._source, self.directory, ignore=shutil.ignore_patterns(*BUILT))
        with (self.directory / ".log").open("w+") as log:
            process = subprocess.Popen(
                ["bash", "-ec", "\n".join(self._build)], cwd=self.directory, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
            try:
                status = process.wait(BUILD_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                status = process.wait()
            log.seek(0)
            said = log.read()[-3000:]
        assert status == 0, f"{self._source} was not built (are its packages within reach?), status {status}: {said}"
        (self.directory / ".built").touch()

    def _state(self) -> str:
        digest = hashlib.sha256("\n".join([sys.version, *self._build]).encode())
        for file in sorted(self._source.rglob("*")):
            if file.is_file() and BUILT.isdisjoint(file.relative_to(self._source).parts):
                digest.update(f"\n{file.relative_to(self._source)}\n".encode() + file.read_bytes())
        return digest.hexdigest()[:12]


class Counting:
    """The program as a process, and the database that it writes."""

    def __init__(self, example: Example, directory: Path, servers: str, topic: str, group: str) -> None:
        self._example = example
        self._log = directory / f"log-{id(self)}"
        self.database = directory / "outcomes.db"
        self._environment = {
            **os.environ,
            "BOOTSTRAP_SERVERS": servers, "TOPIC": topic, "GROUP": group, "DATABASE": str(self.database),
            "JAVA_TOOL_OPTIONS": SMALL_JVM,
        }  # fmt: skip
        self._process: subprocess.Popen | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                ["bash", "-c", f"exec {self._example.command}"], cwd=self._example.directory, env=self._environment,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")[-4000:]

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)

    def stop(self) -> int:
        """SIGTERM; the status."""
        self._process.terminate()
        return self.wait()

    def wait(self) -> int:
        """The status. A program that does not end of itself fails the test."""
        try:
            return self._process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"did not end: {self.log}") from None

    @contextlib.contextmanager
    def broken(self) -> Iterator[None]:
        """Half of the effect fails, until the block ends."""
        self._change("CREATE TRIGGER broken BEFORE INSERT ON counts BEGIN SELECT RAISE(ABORT, 'broken'); END")
        try:
            yield
        finally:
            self._change("DROP TRIGGER broken")

    def _change(self, statement: str) -> None:
        with contextlib.closing(sqlite3.connect(self.database, timeout=30)) as database, database:
            database.execute(statement)

    def rows(self, query: str) -> list[tuple]:
        """What the database answers; nothing while it has no tables."""
        assert self._process.poll() in (None, 0, 143, -signal.SIGKILL), self.log
        try:
            database = sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=5)
        except sqlite3.OperationalError:
            return []
        try:
            return database.execute(query).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return []
            raise
        finally:
            database.close()

    @property
    def ids(self) -> set[str]:
        return {row[0] for row in self.rows("SELECT id FROM outcomes")}

    @property
    def counts(self) -> Counter:
        return Counter(dict(self.rows("SELECT outcome, number FROM counts")))

    @property
    def set_aside(self) -> set[str]:
        """The places of what has been put aside with a reason."""
        return {row[0] for row in self.rows("SELECT place FROM set_aside WHERE reason <> ''")}

    def wait_for(self, ids: set[str]) -> None:
        eventually(lambda: ids <= self.ids, SECONDS, "all counted")

    def kill_on_seeing(self, ids: set[str]) -> None:
        """kill -9 as soon as one of the effects can be seen: its offset is committed a moment later, or just then."""
        give_up = time.monotonic() + SECONDS
        while ids.isdisjoint(self.ids):
            assert time.monotonic() < give_up, self.log
            time.sleep(0.0005)
        self.kill()
