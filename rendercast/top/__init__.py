"""`rendercast top`: what goes on, from the topics alone."""
