"""What a command does, without a terminal: measure, plan, verify and report."""
