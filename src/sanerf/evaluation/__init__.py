"""How good a run is: metrics, scores of its views and objects, and the HTML report."""
