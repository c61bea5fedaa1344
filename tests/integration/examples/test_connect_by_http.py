"""The document's curl commands, as they stand there, against a gateway that asks for a token."""

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Self

import jwt
import pytest
from harness import Process, eventually, read
from integration.examples.support import DOCUMENT, SECONDS, TOOLS, block
from integration.examples.topic import write

from schemas import Job, utcnow
from schemas.codec import decode_command, encode

pytestmark = pytest.mark.timeout(600)

SECRET = "a secret that has thirty-two bytes and some"
ACTIONS = ("read", "track", "check", "cancel", "generate")
COMMANDS = ("track", "show", "list", "follow", "resume", "check", "cancel", "generate")


def make_token() -> str:
    allowed = {action: ["project.p-1", "file.{id}"] for action in ACTIONS}
    return jwt.encode({"sub": "user-7", "exp": time.time() + 600, "rendercast": allowed}, SECRET, "HS256")


class Shell:
    """Runs blocks of the document with this gateway and token, and otherwise with what the document sets."""

    def __init__(self, gateway: str, token: str, directory: Path) -> None:
        self._set = f"{block('setup')}\nexport GATEWAY={gateway} TOKEN={token}\n"
        self._directory = directory

    def run(self, name: str, before: str = "") -> tuple[int, dict]:
        """The command's status and the JSON that it printed."""
        command = ["bash", "-euc", f"{self._set}{before}\n{block(name)}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)

    def follow(self, name: str, before: str = "") -> "Following":
        return Following(f"{self._set}{before}\n{block(name)}", self._directory / f"{name}.txt")


class Following:
    """A command that does not end: what it has printed so far."""

    def __init__(self, script: str, output: Path) -> None:
        self._output = output
        with output.open("wb") as out:
            self._process = subprocess.Popen(["bash", "-euc", script], stdout=out, stderr=out, start_new_session=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(10)

    def events(self) -> list[tuple[str, str, dict]]:
        """Name, id and data of each."""
        frames = [
            dict(line.split(": ", 1) for line in frame.splitlines() if not line.startswith(":"))
            for frame in self._output.read_text().split("\n\n")[:-1]
        ]
        return [(each["event"], each.get("id", ""), json.loads(each["data"])) for each in frames if "event" in each]

    def wait_for(self, name: str) -> tuple[str, dict]:
        """Id and data of the first such event."""
        found = eventually(lambda: [each for each in self.events() if each[0] == name], SECONDS, name)
        return found[0][1:]


@pytest.fixture
def gateway(kafka, topics, tmp_path):
    """Its address; the upstream is the simulator."""
    simulator = Process("simulator", tmp_path, kafka, topics)
    processes = [simulator]
    try:
        upstream = eventually(lambda: re.search(r'"url": "([^"]+)"', simulator.log), SECONDS)[1]
        process = Process(
            "gateway", tmp_path, kafka, topics, connector__base_url=upstream, connector__token="simulator-token",
            gateway__port=0, gateway__jwt_secret=SECRET,
        )  # fmt: skip
        processes.append(process)
        process.wait_ready(SECONDS)
        port = re.search(r'"port": (\d+)', process.log)[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        for each in reversed(processes):
            each.stop()


def tell(kafka, topics, file_id: str, version: int, progress: float) -> None:
    """What the processor would."""
    now = utcnow()
    job = Job(
        file_id=file_id, generation="video_1735", version=version, kind="video", status="processing",
        progress=progress, project_id="p-1", deadline_at=now, tracked_at=now, updated_at=now,
    )  # fmt: skip
    write(kafka, topics.names.jobs, (file_id.encode(), encode(job), []))


def test_the_documents_commands_do_what_it_says_and_nothing_without_a_token(gateway, kafka, topics, tmp_path):
    status, problem = Shell(gateway, "forged", tmp_path).run("show")
    assert (status, problem["status"]) == (22, 401)
    shell = Shell(gateway, make_token(), tmp_path)
    status, tracked = shell.run("track")
    assert (status, tracked["generation"]) == (0, "video_1735")
    file_id = tracked["file_id"]
    tell(kafka, topics, file_id, 1, 20)
    assert eventually(lambda: (told := shell.run("show"))[0] == 0 and told[1], SECONDS)["progress"] == 20
    assert [each["file_id"] for each in shell.run("list")[1]["jobs"]] == [file_id]
    with shell.follow("follow") as following:
        last, snapshot = following.wait_for("snapshot")
        assert [each["version"] for each in snapshot["jobs"]] == [1]
        tell(kafka, topics, file_id, 2, 60)
        assert following.wait_for("job")[1]["version"] == 2
    with shell.follow("resume", f"export LAST_EVENT_ID={last}") as following:
        assert following.wait_for("job")[1]["progress"] == 60
        assert [each[0] for each in following.events()] == ["job"]
    assert shell.run("check") == (0, {"file_id": file_id})
    assert shell.run("cancel") == (0, {"file_id": file_id})
    (status, generated), again = shell.run("generate"), shell.run("generate")
    assert status == 0
    assert again == (0, generated)
    commands = [decode_command(each.value) for each in read(kafka, topics.names.commands)]
    assert sorted(each.type for each in commands) == ["cancel", "check", "track", "track"]


def test_every_command_of_the_document_is_run_by_a_test():
    blocks = re.findall(r"^```(.*)\n", DOCUMENT.read_text(), re.MULTILINE)
    assert {each.removeprefix("sh ") for each in blocks if each.startswith("sh")} == {*TOOLS, *COMMANDS, "setup"}
