"""How to split the machine."""
