"""The processor: a pure state machine, a Faust agent around it, and a writer that announces each outcome once."""
