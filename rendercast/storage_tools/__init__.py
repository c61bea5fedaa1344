"""What an operator does with the object store: compare it with what was told of it, and fill it."""
