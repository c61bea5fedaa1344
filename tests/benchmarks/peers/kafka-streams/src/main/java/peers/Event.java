package peers;

/** A Track or an observation. */
public class Event {
    public String type, file_id, generation, source, observed_at;
    public double progress, estimate_seconds;
    public String message, url, kind, task_id, status, task_status, upstream_generation_id, reason;
    public String request_id, project_id, user_id, prompt, issued_at;
}
