"""Gatekeeper's own pages: sign-in, sign-out, the administrator link, and what an error looks like."""
