"""The shell around the decision: reads a request into facts, asks `decide`, carries the answer out."""
