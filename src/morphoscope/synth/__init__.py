"""Pictures and videos with known truth."""
