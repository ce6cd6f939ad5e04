"""The way to the protected application: pooled connections, one streamed exchange, WebSocket; an ASGI app."""
