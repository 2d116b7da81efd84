"""Delivery of the follow-up list: freeze it into the ledger, send it through channels, take back what was answered."""
