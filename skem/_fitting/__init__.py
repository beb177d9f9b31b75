"""How a mixture is fitted, from data or a stream."""
