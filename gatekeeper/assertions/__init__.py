"""Signed assertions: short-lived JWTs that tell an application who is asking, and the keys behind them."""
