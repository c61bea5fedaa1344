package peers;

import com.fasterxml.jackson.annotation.JsonInclude;

/** The document of the store. */
@JsonInclude(JsonInclude.Include.NON_NULL)
public class Job implements Cloneable {
    public String file_id, generation, kind, status, message, outcome, reason, url, won_by;
    public int version;
    public double progress, estimate_seconds;
    public String project_id, user_id, prompt, task_id, deadline_at, tracked_at, updated_at, finished_at;
    public boolean watching = true;

    Job copy() {
        try {
            return (Job) clone();
        } catch (CloneNotSupportedException e) {
            throw new AssertionError(e);
        }
    }
}
