"""Pure decisions of remediation: the runbook format, its expressions, budgets, verdicts. No I/O; ``now`` is an argument."""
