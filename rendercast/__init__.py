"""The command line and whatever starts things: settings, composition root, demo, simulator, local broker."""
