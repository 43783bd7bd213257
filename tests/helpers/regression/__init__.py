"""A fourth task, written outside the packages; ``regression_task`` makes it known."""
