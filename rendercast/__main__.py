"""`python -m rendercast`: the command line without its script on the path."""

from rendercast.cli import main

main()
