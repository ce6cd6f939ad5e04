"""Sign-in at an identity provider as a whole: Gatekeeper, the provider, and answers that somebody forged."""
