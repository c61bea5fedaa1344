"""The chat sink: what chats should show (`artifacts`) and where the copies are (`stored`), into a database."""
