"""A simulated upstream: REST and SSE over real HTTP, its refusals, and what goes wrong there."""
