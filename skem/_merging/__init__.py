"""Components merged into clusters."""
