"""One host: settings, the supervisor of its processes, logs, health and metrics."""
