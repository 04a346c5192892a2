"""What spoils measurements on this machine, and the remedy."""
