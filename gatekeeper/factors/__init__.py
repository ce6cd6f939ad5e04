"""Second factors: one file for each, behind one protocol."""
