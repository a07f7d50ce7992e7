"""Owns everything that touches a socket: the Bot API over HTTP, webhooks, the control API and the page."""
