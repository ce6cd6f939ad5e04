"""Mail: kinds, templates, the outbox and its transports."""
