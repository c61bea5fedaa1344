package peers;

import com.fasterxml.jackson.annotation.JsonInclude;

/** How a generation ended. */
@JsonInclude(JsonInclude.Include.NON_NULL)
public class Completion {
    public String id, outcome, file_id, generation, project_id, user_id, kind, url, reason, message, won_by;
    public String tracked_at, finished_at;
}
