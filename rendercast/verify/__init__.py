"""The verifier: feeds a processor, disturbs it, and counts what was lost, announced twice or left stale."""
