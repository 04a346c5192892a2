"""What this machine is, what it allows, and what happened on it while something was timed."""
