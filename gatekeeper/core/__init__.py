"""Pure values and decisions: no I/O, no await; time and randomness are arguments."""
