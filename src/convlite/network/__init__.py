"""Whole networks: graphs, what their nodes mean, and how they run."""
