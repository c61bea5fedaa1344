"""What each dashboard shows."""

from rendercast.operations.dashboards import Dashboard, Panel, Row, quantile, quantiles, rate

OUTCOMES = "rendercast_processor_outcomes_total"
LAGS = Panel(
    "Lag in seconds", "s",
    {
        "max(rendercast_processor_lag_seconds)": "processor",
        "max(rendercast_upstream_lag_seconds)": "connector",
        "max(rendercast_chats_lag_seconds)": "chat sink",
        "max(rendercast_storage_lag_seconds)": "storage sink",
        "max((time() - rendercast_gateway_feed_read_timestamp_seconds) and rendercast_gateway_feed_lag_records > 0)"
        " or max(rendercast_gateway_feed_lag_records) * 0": "gateway",
    },
    words="Age of the first record that waits, by reader.",
)  # fmt: skip
DEAD_LETTERS = Panel(
    "Dead letters", "short",
    {
        "sum by (reason) (rendercast_processor_dead_letters_total)": "processor: {{reason}}",
        "sum by (reason) (rendercast_upstream_dead_letters_total)": "connector: {{reason}}",
        "sum by (reason) (rendercast_chats_refused_total)": "chat sink: {{reason}}",
        "sum by (reason) (rendercast_storage_refused_total)": "storage sink: {{reason}}",
    },
    words="Since the processes began.",
)  # fmt: skip
SPANS = Panel(
    "Spans a second", "ops", {rate("rendercast_tracing_spans_total", "result"): "{{result}}"},
    words="Only where tracing is on.",
)  # fmt: skip

OVERVIEW = Dashboard("overview", "overview", (
    Row("Objectives", (
        Panel("Jobs that missed their deadline, 1 h", "percentunit",
              {"max(rendercast:deadline_missed:ratio_rate1h)": ""}, number=True, words="1 % is allowed."),
        Panel("Results announced after 5 s, 1 h", "percentunit",
              {"max(rendercast:announced_late:ratio_rate1h)": ""}, number=True, words="1 % is allowed."),
        Panel("Unfinished jobs", "short", {"sum(rendercast_processor_unfinished_jobs)": ""}, number=True),
        Panel("Oldest unfinished job", "s", {"max(rendercast_processor_oldest_unfinished_seconds)": ""}, number=True),
        Panel("Past their deadline", "short", {"sum(rendercast_processor_overdue_jobs)": ""}, number=True),
        Panel("Alerts", "short", {'count(ALERTS{alertname=~"Rendercast.*", alertstate="firing"}) or vector(0)': ""},
              number=True),
    )),
    Row("Jobs", (
        Panel("Outcomes a second", "ops", {rate(OUTCOMES, "outcome"): "{{outcome}}"}),
        Panel("Who told first", "ops", {rate(OUTCOMES, "source", '{outcome=~"completed|failed"}'): "{{source}}"}),
        Panel("From Track to outcome", "s", quantiles("rendercast_processor_job_seconds")),
        Panel("From the upstream's word to the announcement", "s",
              quantiles("rendercast_processor_announced_seconds")),
    )),
    Row("Readers", (LAGS, DEAD_LETTERS, SPANS)),
    Row("Stopped and missed", (
        Panel("Duplicates stopped a second", "ops",
              {rate("rendercast_processor_events_total", "source",
                    '{verdict=~"duplicate|repeated|stale"}'): "{{source}}",
               rate("rendercast_processor_replays_total"): "replayed"}),
        Panel("Gaps: watches without a live stream", "ops",
              {rate("rendercast_upstream_gap_seconds_count"): "gaps a second"}),
        Panel("Records lost to retention", "short", {"sum(rendercast_processor_holes_total)": "records"}),
    )),
))  # fmt: skip

UPSTREAM = Dashboard("upstream", "upstream health", (
    Row("State", (
        Panel("Watches", "short", {"sum(rendercast_upstream_watches)": ""}, number=True),
        Panel("Oldest watch", "s", {"max(rendercast_upstream_oldest_watch_seconds)": ""}, number=True),
        Panel("Token refused", "none", {"max(rendercast_upstream_token_refused)": ""}, number=True),
        Panel("Breaker open", "none",
              {'max(rendercast_upstream_breaker{rendercast_upstream_breaker="open"})': ""}, number=True),
        Panel("Held for Kafka", "bytes", {"sum(rendercast_upstream_send_buffer_bytes)": ""}, number=True),
        Panel("Watches not read", "short", {"sum(rendercast_upstream_lag_records)": ""}, number=True),
    )),
    Row("Streams", (
        Panel("Streams", "short", {"sum by (channel, state) (rendercast_upstream_streams)": "{{channel}} {{state}}"}),
        Panel("Opened a second, by result", "ops",
              {rate("rendercast_upstream_connects_total", "result"): "{{result}}"}),
        Panel("Lost a second, by cause", "ops", {rate("rendercast_upstream_lost_streams_total", "cause"): "{{cause}}"}),
        Panel("Time to the first byte", "s", quantiles("rendercast_upstream_first_byte_seconds")),
    )),
    Row("Requests", (
        Panel("Looks a second, by reason", "ops", {rate("rendercast_upstream_looks_total", "why"): "{{why}}"}),
        Panel("Looks a second, by end", "ops", {rate("rendercast_upstream_looks_total", "end"): "{{end}}"}),
        Panel("Latency, 99 %", "s", {quantile(0.99, "rendercast_upstream_request_seconds", "request"): "{{request}}"}),
        Panel("Waiting for a turn, 99 %", "s",
              {quantile(0.99, "rendercast_upstream_budget_wait_seconds", "rank"): "{{rank}}"}),
    )),
    Row("What was heard", (
        Panel("Observations a second", "ops",
              {rate("rendercast_upstream_observations_total", "type, source"): "{{type}} by {{source}}"}),
        Panel("First URLs and repetitions", "ops",
              {rate("rendercast_upstream_urls_first_total", "source"): "first by {{source}}",
               rate("rendercast_upstream_urls_repeated_total", "source"): "again by {{source}}"}),
        Panel("Not read", "ops", {rate("rendercast_upstream_broken_total", "reason"): "broken: {{reason}}",
                                  rate("rendercast_upstream_ignored_total", "reason"): "ignored: {{reason}}"}),
        Panel("Length of gaps", "s", quantiles("rendercast_upstream_gap_seconds")),
    )),
    Row("Towards Kafka", (
        Panel("From an observation to Kafka's yes", "s", quantiles("rendercast_upstream_acknowledged_seconds")),
        Panel("Failures to send a second", "ops", {rate("rendercast_upstream_send_failures_total"): "failures"}),
        Panel("Clocks that rang a second", "ops",
              {rate("rendercast_upstream_clock_rings_total", "clock"): "{{clock}}"}),
    )),
))  # fmt: skip

PROCESSOR = Dashboard("processor", "processor", (
    Row("State", (
        Panel("Partitions held", "short", {"sum(rendercast_processor_held_partitions)": ""}, number=True),
        Panel("Jobs remembered", "short", {"sum(rendercast_processor_rows)": ""}, number=True),
        Panel("Recovered", "percentunit", {"min(rendercast_processor_recovery_ratio)": ""}, number=True),
        Panel("Lag, records", "short", {"sum(rendercast_processor_lag_offsets)": ""}, number=True),
    )),
    Row("Lag", (
        Panel("Records by topic", "short", {"sum by (topic) (rendercast_processor_lag_offsets)": "{{topic}}"}),
        Panel("Seconds, the ten worst partitions", "s",
              {"topk(10, rendercast_processor_lag_seconds)": "{{topic}} {{partition}}"}),
    )),
    Row("Work", (
        Panel("Events a second, by verdict", "ops",
              {rate("rendercast_processor_events_total", "verdict"): "{{verdict}}"}),
        Panel("Records of a step", "short", quantiles("rendercast_processor_step_records")),
        Panel("Transactions", "s", quantiles("rendercast_processor_transaction_seconds")),
        Panel("Commits of offsets", "s", quantiles("rendercast_processor_offsets_commit_seconds")),
    )),
    Row("Jobs", (
        Panel("Unfinished", "short", {"sum(rendercast_processor_unfinished_jobs)": "unfinished",
                                      "sum(rendercast_processor_overdue_jobs)": "past their deadline"}),
        Panel("Oldest", "s", {"max(rendercast_processor_oldest_unfinished_seconds)": "age of the oldest",
                              "max(rendercast_processor_longest_overdue_seconds)": "longest past its deadline"}),
        DEAD_LETTERS,
    )),
    Row("Rebalances and ends", (
        Panel("Rebalances", "short",
              {"sum(increase(rendercast_processor_rebalances_total[$__rate_interval]))": "number"}),
        Panel("Duration of a rebalance", "s", quantiles("rendercast_processor_rebalance_seconds")),
        Panel("Rows read a second at the last recovery", "ops",
              {"max(rendercast_processor_recovery_records_per_second)": "records",
               rate("rendercast_processor_recovered_records_total"): "now"}),
        Panel("Ends of processes", "short", {"sum by (why) (rendercast_processor_ends_total)": "{{why}}"}),
        Panel("Void, fetched again, not waited for", "ops",
              {rate("rendercast_processor_void_batches_total"): "void batches",
               rate("rendercast_processor_refetches_total"): "fetched again",
               rate("rendercast_processor_merge_timeouts_total"): "merge timeouts"}),
    )),
))  # fmt: skip

SINKS = Dashboard("sinks", "sinks", (
    Row("Chats", (
        Panel("Lag, records", "short", {"sum by (topic) (rendercast_chats_lag_records)": "{{topic}}"}),
        Panel("Lag, seconds", "s", {"max(rendercast_chats_lag_seconds)": "oldest"}),
        Panel("Landed a second", "ops", {rate("rendercast_chats_records_total", "topic"): "{{topic}}"}),
        Panel("Transactions, 99 %", "s",
              {quantile(0.99, "rendercast_chats_write_seconds", "database"): "{{database}}"}),
    )),
    Row("Trouble with chats", (
        Panel("Records of a transaction", "short", quantiles("rendercast_chats_batch_records")),
        Panel("Batches read again a second", "ops", {rate("rendercast_chats_retries_total"): "retries",
                                                     rate("rendercast_chats_fenced_total"): "fenced"}),
        Panel("To dead letters a second", "ops", {rate("rendercast_chats_refused_total", "reason"): "{{reason}}"}),
    )),
    Row("Storage", (
        Panel("Lag, records", "short", {"sum(rendercast_storage_lag_records)": "not settled",
                                        "sum(rendercast_storage_open_records)": "taken",
                                        "sum(rendercast_storage_in_flight)": "being copied"}),
        Panel("Lag, seconds", "s", {"max(rendercast_storage_lag_seconds)": "oldest"}),
        Panel("Objects a second", "ops", {rate("rendercast_storage_objects_total", "how"): "{{how}}"}),
        Panel("Bytes a second", "bytes", {rate("rendercast_storage_read_bytes_total"): "read"}),
    )),
    Row("Trouble with storage", (
        Panel("One copy", "s", quantiles("rendercast_storage_copy_seconds")),
        Panel("Failed tries a second", "ops", {rate("rendercast_storage_retries_total", "reason"): "{{reason}}"}),
        Panel("To dead letters a second", "ops", {rate("rendercast_storage_refused_total", "reason"): "{{reason}}"}),
        Panel("Resumed, and asked for fresh URLs", "ops", {rate("rendercast_storage_resumed_total"): "resumed",
                                                           rate("rendercast_storage_checks_total"): "checks"}),
    )),
))  # fmt: skip

GATEWAY = Dashboard("gateway", "gateway", (
    Row("State", (
        Panel("Reads the jobs live", "none", {"min(rendercast_gateway_feed_live)": ""}, number=True),
        Panel("Jobs held", "short", {"max(rendercast_gateway_jobs)": ""}, number=True),
        Panel("Event streams", "short", {"sum(rendercast_gateway_streams)": ""}, number=True),
        Panel("Lag, records", "short", {"max(rendercast_gateway_feed_lag_records)": ""}, number=True),
    )),
    Row("Requests", (
        Panel("A second, by status", "ops", {rate("rendercast_gateway_requests_total", "status"): "{{status}}"}),
        Panel("A second, by route", "ops", {rate("rendercast_gateway_requests_total", "route"): "{{route}}"}),
        Panel("Time to the first byte, 99 %", "s",
              {quantile(0.99, "rendercast_gateway_request_seconds", "route"): "{{route}}"}),
    )),
    Row("Streams", (
        Panel("Events sent a second", "ops", {rate("rendercast_gateway_events_sent_total"): "events"}),
        Panel("Closed because nobody read them", "ops", {rate("rendercast_gateway_slow_readers_total"): "streams"}),
        Panel("Reads of the past a second", "ops",
              {rate("rendercast_gateway_past_reads_total", "result"): "{{result}}"}),
    )),
    Row("Commands and jobs", (
        Panel("Commands a second", "ops",
              {rate("rendercast_gateway_commands_total", "type, result"): "{{type}} {{result}}"}),
        Panel("Generate calls a second", "ops",
              {rate("rendercast_gateway_generate_calls_total", "kind, result"): "{{kind}} {{result}}",
               rate("rendercast_gateway_generate_joined_total"): "joined"}),
        Panel("Job records a second", "ops", {rate("rendercast_gateway_job_records_total", "result"): "{{result}}",
                                              rate("rendercast_gateway_jobs_evicted_total", "why"): "let go: {{why}}"}),
        Panel("Read from the beginning", "short", {"sum(rendercast_gateway_feed_reloads_total)": "times"}),
    )),
))  # fmt: skip

DASHBOARDS = (OVERVIEW, UPSTREAM, PROCESSOR, SINKS, GATEWAY)
