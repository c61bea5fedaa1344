"""The brokers, the topics, and what this user may do with them."""

from collections.abc import Sequence

from aiokafka.errors import GroupAuthorizationFailedError, KafkaError

from brokers import WELCOME, arguments, look
from rendercast import topics as admin
from rendercast.doctor.allowed import EVERYTHING, READ, WRITE, allowed
from rendercast.doctor.finding import Finding, Findings, doubtful, good, wrong
from rendercast.rights import Process, Rights, rights
from rendercast.settings import Settings
from schemas.errors import StopProcess

_GROUP_REFUSED = 30
_MUST = ("topic", "partitions", "cleanup.policy")
"""Without these no process starts."""


async def examine(settings: Settings, processes: Sequence[Process]) -> Findings:
    """Nothing is written, and no group is joined."""
    try:
        said = await look(settings.kafka)
    except StopProcess as error:  # a certificate that cannot be read
        yield wrong("kafka", str(error), "Correct the setting that is named.")
        return
    for server, words in said.items():
        yield _server(server, words)
    if WELCOME not in said.values():
        return
    async for each in _topics(settings):
        yield each
    async for each in _rights(settings, processes):
        yield each


def _server(server: str, words: str) -> Finding:
    about = f"kafka {server}"
    if words == WELCOME:
        return good(about, "lets us in")
    return wrong(
        about, words, "Correct RENDERCAST_KAFKA__BOOTSTRAP_SERVERS and what docs/security.md says of it, or the broker."
    )


async def _topics(settings: Settings) -> Findings:
    async with admin.admin(settings.kafka) as client:
        brokers = len((await client.describe_cluster())["brokers"])
    if brokers > 1 and settings.topics.replication == 1:
        yield doubtful(
            "topics", f"{brokers} brokers and one replica of each topic: a lost disk is a lost partition",
            "Set RENDERCAST_TOPICS__REPLICATION to 3 and make the topics anew, or reassign their replicas.",
        )  # fmt: skip
    found = await admin.check(settings.kafka, settings.topics)
    missing = [each.topic for each in found if each.what == "topic"]
    if missing:
        yield wrong("topics", f"{', '.join(missing)}: not there", "Run `rendercast topics apply`.")
    for each in found:
        if each.what == "topic":
            continue
        about, words = f"topic {each.topic}", f"{each.what} should be {each.wanted}, is {each.found}"
        if each.what in _MUST:
            yield wrong(about, words, "Correct RENDERCAST_TOPICS__… or the topic; see docs/runbook.md.")
        else:
            yield doubtful(about, words, f"Set {each.what} to {each.wanted}, if that was not meant.")
    if not found:
        yield good("topics", f"all {len(settings.topics.names.specs())} are as the settings say")


async def _rights(settings: Settings, processes: Sequence[Process]) -> Findings:
    names = [each.name for each in settings.topics.names.specs()]
    try:
        operations = await allowed(arguments(settings.kafka), names)
    except (KafkaError, OSError) as error:
        yield doubtful("rights", f"cannot be asked for: {error}", "Compare the ACLs with docs/kubernetes.md.")
        return
    by_process = rights(settings)
    for process in processes:
        wanted = by_process[process]
        lacking = [f"Read {each}" for each in sorted(wanted.reads) if READ not in operations.get(each, EVERYTHING)]
        lacking += [f"Write {each}" for each in sorted(wanted.writes) if WRITE not in operations.get(each, EVERYTHING)]
        lacking += await _group(settings, wanted)
        if lacking:
            yield wrong(
                f"rights of {process}", f"lacks {', '.join(lacking)}", "Allow its user these; see docs/kubernetes.md."
            )
        else:
            yield good(f"rights of {process}", _told(wanted))


async def _group(settings: Settings, wanted: Rights) -> list[str]:
    """A group that may not be described may not be joined either."""
    if wanted.group is None:
        return []
    try:
        async with admin.admin(settings.kafka) as client:
            answers = await client.describe_consumer_groups([wanted.group])
    except GroupAuthorizationFailedError:
        codes = {_GROUP_REFUSED}
    except KafkaError:  # a cluster that never had a group has no coordinator yet
        return []
    else:
        codes = {group["error_code"] for answer in answers for group in answer.to_object()["groups"]}
    return [f"Read group {wanted.group}"] if _GROUP_REFUSED in codes else []


def _told(wanted: Rights) -> str:
    group = f", group {wanted.group}" if wanted.group else ""
    return f"reads {len(wanted.reads)} and writes {len(wanted.writes)} topics{group}"
