"""`gatekeeper doctor`: is what Gatekeeper depends on there, and as it should be? One file per check."""
