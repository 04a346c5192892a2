"""The work of the commands, without a terminal: measure, plan, verify and report."""
