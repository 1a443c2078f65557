"""Registration and linking."""
