"""The simulator and the gateway, as the demo's caller uses them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from rendercast.demo.audit import OUTCOMES, Expected
from rendercast.demo.plan import PlannedJob


@dataclass(frozen=True, slots=True)
class Tracked:
    """A generation that was handed to the gateway. Its request id is its generation."""

    plan: PlannedJob
    file_id: str
    generation: str


class Caller:
    """Creates files upstream and has them tracked."""

    def __init__(self, simulator: str, gateway: str) -> None:
        self._simulator, self._gateway = simulator, gateway
        transport = httpx.AsyncHTTPTransport(retries=3)
        self._http = httpx.AsyncClient(transport=transport, timeout=10)

    async def begin(self, plan: PlannedJob, request_id: str) -> Tracked:
        """A new file, tracked."""
        created = await self._post(
            f"{self._simulator}/__script",
            {
                "kind": plan.kind, "behaviour": plan.behaviour, "project_id": plan.project_id,
                "request_id": request_id, "prompt": f"a demo {plan.kind}",
            },
        )  # fmt: skip
        return await self._track(plan, created["id"], request_id)

    async def again(self, earlier: Tracked, request_id: str) -> Tracked:
        """The same file generated once more, tracked."""
        await self._post(f"{self._simulator}/__regenerate/{earlier.file_id}", {"request_id": request_id})
        return await self._track(earlier.plan, earlier.file_id, request_id)

    async def record(self) -> dict[str, Any]:
        """What the simulator did."""
        answer = await self._http.get(f"{self._simulator}/__record")
        answer.raise_for_status()
        return dict(answer.json())

    async def close(self) -> None:
        await self._http.aclose()

    async def _track(self, plan: PlannedJob, file_id: str, request_id: str) -> Tracked:
        await self._post(
            f"{self._gateway}/api/jobs",
            {
                "file_id": file_id, "kind": plan.kind, "request_id": request_id, "project_id": plan.project_id,
                "chat": {"chat_id": plan.chat_id}, "deadline_seconds": plan.deadline_seconds,
            },
        )  # fmt: skip
        return Tracked(plan, file_id, request_id)

    async def _post(self, url: str, body: Mapping[str, Any]) -> dict[str, Any]:
        answer = await self._http.post(url, json={name: value for name, value in body.items() if value is not None})
        answer.raise_for_status()
        return dict(answer.json())


def expected(record: Mapping[str, Any], tracked: list[Tracked]) -> list[Expected]:
    """Each tracked generation with the end that the simulator gave it."""
    found = []
    for each in tracked:
        file = record["files"][each.file_id]
        generation = next(one for one in file["generations"] if one["request_id"] == each.generation)
        media = [url for url in file["urls"] if url["url"] == generation["url"] and url["role"] == "media"]
        found.append(
            Expected(
                each.file_id, each.generation, OUTCOMES[generation["ends"]], generation["url"] or "",
                media[0]["sha256"] if media else "", each.plan.chat_id,
            )
        )  # fmt: skip
    return found


def reports(record: Mapping[str, Any]) -> int:
    """How often the upstream said "done", by stream and by poll."""
    return sum(file["done_by_stream"] + file["done_by_poll"] for file in record["files"].values())
