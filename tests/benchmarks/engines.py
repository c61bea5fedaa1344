"""The engines, and what they need to run: a venv of the peers' own, Kafka Streams' classes."""

import functools
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.medians import Failed

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "requirements-peers.lock"
VENV = ROOT / "build/peers-venv"
JAVA = ROOT / "build/peers-kafka-streams"
LOGS = ROOT / "build/benchmarks/logs"
BUILD_SECONDS = 900

OURS = "rendercast"
QUIX = "Quix Streams, exactly once"
STREAMS = "Kafka Streams, exactly once"
AIOKAFKA = "bare aiokafka loop, transactions"
LIBRDKAFKA = "bare librdkafka loop, transactions"
BYTEWAX = "Bytewax, at least once"
FAUST = "plain Faust, at least once"


def command(name: str) -> list[str]:
    """The command line of an engine; what it needs is built first. Raises Failed where that cannot be."""
    return _COMMANDS[name]()


def environment(**more: str) -> dict[str, str]:
    """Of a worker: this process's, with our packages and the benchmarks to import from."""
    return {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", "PYTHONUNBUFFERED": "1", **more}


def log(name: str) -> Path:
    LOGS.mkdir(parents=True, exist_ok=True)
    return LOGS / f"{''.join(letter if letter.isalnum() else '-' for letter in name)}.log"


def of_project(module: str) -> list[str]:
    """A worker with this project's own packages."""
    return [sys.executable, "-m", module]


def of_peers(module: str) -> list[str]:
    """A worker with the peers' packages."""
    return [str(_peers_python()), "-m", module]


@functools.cache
def _peers_python() -> Path:
    lock = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    made, python = VENV / ".made-from", VENV / "bin/python"
    if not made.exists() or made.read_text() != lock:
        shutil.rmtree(VENV, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(VENV)])
        _run(
            [
                str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                "--no-deps", "--require-hashes", "-r", str(LOCK),
            ]
        )  # fmt: skip
        made.write_text(lock)
    return python


@functools.cache
def _kafka_streams() -> str:
    """The class path of the Kafka Streams worker."""
    if shutil.which("mvn") is None or shutil.which("java") is None:
        raise Failed("Kafka Streams needs Java 17 and Maven")
    _run(
        [
            "mvn", "-q", "-B", "-f", str(ROOT / "tests/benchmarks/peers/kafka-streams/pom.xml"), f"-Doutput={JAVA}",
            "compile", "dependency:copy-dependencies", f"-DoutputDirectory={JAVA / 'lib'}", "-DincludeScope=runtime",
        ]
    )  # fmt: skip
    return f"{JAVA / 'classes'}{os.pathsep}{JAVA / 'lib'}/*"


def _run(arguments: list[str]) -> None:
    try:
        done = subprocess.run(
            arguments, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{arguments[0]} took more than {BUILD_SECONDS} s") from error
    if done.returncode != 0:
        raise Failed(f"{' '.join(arguments[:4])} …: {(done.stdout + done.stderr)[-500:]}")


_COMMANDS: dict[str, Callable[[], list[str]]] = {
    OURS: lambda: [*of_project("rendercast"), "processor"],
    QUIX: lambda: of_peers("benchmarks.peers.quix"),
    BYTEWAX: lambda: of_peers("benchmarks.peers.bytewax"),
    LIBRDKAFKA: lambda: of_peers("benchmarks.peers.librdkafka_loop"),
    AIOKAFKA: lambda: of_project("benchmarks.peers.aiokafka_loop"),
    FAUST: lambda: of_project("benchmarks.peers.plain_faust"),
    STREAMS: lambda: [
        "java", "-Xmx512m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", _kafka_streams(), "peers.Worker",
    ],
}  # fmt: skip
