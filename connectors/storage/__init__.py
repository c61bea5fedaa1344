"""The storage sink: copies each result from the upstream's URL into an object store, and tells where it is."""
