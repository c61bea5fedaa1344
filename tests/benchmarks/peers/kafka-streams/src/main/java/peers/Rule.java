package peers;

/** The rule, cut down to what the benchmark's work needs: one generation, growing progress, the first end wins. */
final class Rule {
    private Rule() {}

    /** The job after the event; null where nothing changes. */
    static Job advance(Job job, Event event) {
        if (event.type.equals("track")) {
            return job == null ? start(event) : null;
        }
        if (job == null || !event.generation.equals(job.generation) || job.outcome != null) {
            return null;
        }
        switch (event.type) {
            case "progress":
                if (event.progress <= job.progress && job.status.equals("processing")) {
                    return null;
                }
                Job moved = changed(job, event);
                moved.status = "processing";
                moved.progress = event.progress;
                moved.message = event.message;
                moved.estimate_seconds = event.estimate_seconds;
                return moved;
            case "result":
                return completed(job, event);
            case "snapshot":
                if (event.url != null) {
                    return completed(job, event);
                }
                return task(job, event, event.task_status);
            case "task":
                return task(job, event, event.status);
            case "failure":
                return failed(job, event);
            default:
                return null;
        }
    }

    static Completion completion(Job job) {
        Completion told = new Completion();
        told.id = java.util.UUID.nameUUIDFromBytes((job.file_id + "/" + job.generation + "/" + job.outcome).getBytes()).toString();
        told.outcome = job.outcome;
        told.file_id = job.file_id;
        told.generation = job.generation;
        told.project_id = job.project_id;
        told.user_id = job.user_id;
        told.kind = job.kind;
        told.url = job.url;
        told.reason = job.reason;
        told.message = job.message;
        told.won_by = job.won_by;
        told.tracked_at = job.tracked_at;
        told.finished_at = job.finished_at;
        return told;
    }

    private static Job start(Event track) {
        Job job = new Job();
        job.file_id = track.file_id;
        job.generation = track.request_id;
        job.version = 1;
        job.kind = track.kind;
        job.status = "pending";
        job.estimate_seconds = track.estimate_seconds;
        job.project_id = track.project_id;
        job.user_id = track.user_id;
        job.prompt = track.prompt;
        job.deadline_at = track.issued_at;
        job.tracked_at = track.issued_at;
        job.updated_at = track.issued_at;
        return job;
    }

    private static Job changed(Job job, Event event) {
        Job after = job.copy();
        after.version++;
        after.updated_at = event.observed_at;
        return after;
    }

    private static Job completed(Job job, Event event) {
        Job ended = ended(job, event, "completed");
        ended.progress = 100;
        ended.message = null;
        ended.url = event.url;
        return ended;
    }

    private static Job failed(Job job, Event event) {
        Job ended = ended(job, event, "failed");
        ended.reason = "upstream";
        ended.message = event.message;
        return ended;
    }

    private static Job task(Job job, Event event, String status) {
        if ("error".equals(status)) {
            return failed(job, event);
        }
        if (event.task_id == null || event.task_id.equals(job.task_id)) {
            return null;
        }
        Job learned = changed(job, event);
        learned.task_id = event.task_id;
        learned.status = "processing";
        return learned;
    }

    private static Job ended(Job job, Event event, String outcome) {
        Job ended = changed(job, event);
        ended.status = outcome.equals("completed") ? "completed" : "error";
        ended.outcome = outcome;
        ended.won_by = event.source;
        ended.finished_at = event.observed_at;
        ended.watching = false;
        return ended;
    }
}
