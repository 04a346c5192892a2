"""What a run says of its cells: rows, significance, rankings and splits; knows no chart."""
