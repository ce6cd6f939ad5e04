"""Gatekeeper: the sign-in that any back-office web application can be given without touching it."""

__version__ = "0.1.0"
