"""The support of a shop: its terms, questions about payments, and the answers of its admins."""
