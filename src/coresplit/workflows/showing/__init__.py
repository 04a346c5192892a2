"""Plans, verifications and runs as text, plain values and small tables."""
