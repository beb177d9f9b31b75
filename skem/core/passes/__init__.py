"""An E-step's pass over a complete block: its forms, in NumPy and compiled."""
