"""Exactly once, 7: rows after the commit, and how a partition or a process ends."""

from .mutation import Mutation, unit

TRANSPORT = "streams/exactly_once/transport.py"
RECOVERY = "streams/exactly_once/recovery.py"
EXITS = "streams/exactly_once/exits.py"

ENDS = (
    Mutation(
        name="a rebalance voids what was fetched",
        point="exactly once 7",
        guards="On revocation the epoch grows before anything else.",
        file=TRANSPORT,
        old="        self._epoch += 1\n",
        new="",
        tests=unit("test_transport", "test_on_revocation_steps_end_then_acks_are_committed_then_faust_forgets_them"),
    ),
    Mutation(
        name="acks are committed before they are forgotten",
        point="exactly once 7",
        guards="A partition is handed over without a replay.",
        file=TRANSPORT,
        old="        await self.commit()  # before Faust forgets the acks\n        self._buffered_partitions.clear()\n"
        "        await super().on_partitions_revoked(revoked)\n",
        new="        self._buffered_partitions.clear()\n"
        "        await super().on_partitions_revoked(revoked)\n        await self.commit()\n",
        tests=unit("test_transport", "test_on_revocation_steps_end_then_acks_are_committed_then_faust_forgets_them"),
    ),
    Mutation(
        name="a graceful stop ends the steps",
        point="exactly once 7",
        guards="SIGTERM leaves no step half acked.",
        file=TRANSPORT,
        old="        self._lanes.stopped = True\n        await self._lanes.close()\n",
        new="        self._lanes.stopped = True\n",
        tests=unit("test_transport", "test_on_stop_steps_end_then_acks_are_committed_then_the_partitions_go"),
    ),
    Mutation(
        name="Faust's crashes end the process",
        point="exactly once 7",
        guards="A fetcher that died is not a worker that holds its partitions and reads nothing.",
        file=TRANSPORT,
        old='            end_process_after(error, "the fetcher crashed")',
        new="            del error",
        tests=unit("test_transport", "test_a_crash_anywhere_in_faust_ends_the_process"),
    ),
    Mutation(
        name="rows change after the commit",
        point="exactly once 7",
        guards="A transaction that was refused leaves the rows as the changelog has them.",
        file="streams/app.py",
        old="    if effects.out:\n",
        new="    effects.write_to(held.rows)\n    if effects.out:\n",
        tests=unit(
            "test_app_steps",
            "test_rows_change_after_the_transaction_that_says_so",
            "test_a_transaction_that_fails_leaves_rows_and_counters_as_they_were",
        ),
    ),
    Mutation(
        name="counters count what was committed",
        point="exactly once 7",
        guards="The metrics tell no outcome that nobody can read.",
        file="streams/app.py",
        old="    if effects.out:\n",
        new="    count(effects)\n    if effects.out:\n",
        tests=unit(
            "test_app_steps",
            "test_a_transaction_that_fails_leaves_rows_and_counters_as_they_were",
            "test_what_has_committed_is_counted_once",
        ),
    ),
    Mutation(
        name="a restart does not help",
        point="exactly once 7",
        guards="What needs an operator has status 1.",
        file=EXITS,
        old='    os._exit(1 if why == "operator" else EXIT_STATUS)',
        new="    os._exit(EXIT_STATUS)",
        tests=unit(
            "test_exits",
            "test_an_error_is_classed_and_only_what_needs_an_operator_has_status_1",
            "test_the_status_says_whether_a_restart_helps",
        ),
    ),
    Mutation(
        name="the end is at once",
        point="exactly once 7",
        guards="No handler runs after the decision to end, in whichever thread it was made.",
        file=EXITS,
        old='    os._exit(1 if why == "operator" else EXIT_STATUS)',
        new='    raise SystemExit(1 if why == "operator" else EXIT_STATUS)',
        tests=unit("test_exits", "test_the_process_is_gone_at_once_whichever_thread_fails"),
    ),
    Mutation(
        name="a failed recovery ends the process",
        point="exactly once 7",
        guards="A worker that could not load its rows does not hold partitions and read nothing.",
        file=RECOVERY,
        old='                end_process_after(error, "recovery failed")',
        new="                del error",
        tests=unit("test_recovery_service", "test_any_other_failure_ends_the_process[while_seeking]"),
    ),
)
