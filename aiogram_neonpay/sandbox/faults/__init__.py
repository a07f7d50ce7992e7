"""Owns faults on order: rules by which Telegram answers wrongly, late or not at all, and updates go astray."""
