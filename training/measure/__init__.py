"""How good it is: metrics, evaluation, intervals, the quality of a confidence."""
