"""What operators get, made from code: the page of metrics and the dashboards. `python -m rendercast.operations`."""
