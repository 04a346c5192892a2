"""Charts as Vega-Lite specifications, and the module that renders them."""
