"""Loading a server: what is asked for, doing it, and writing what it showed."""
