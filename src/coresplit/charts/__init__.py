"""Charts as Vega-Lite specifications, and the one place that renders them."""
