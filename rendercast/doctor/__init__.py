"""`rendercast doctor`: looks at everything that the processes need from elsewhere, and says what is wrong."""
