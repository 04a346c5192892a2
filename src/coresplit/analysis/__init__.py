"""Analyse the cells of a run: rows, significance, rankings and splits; no charts here."""
