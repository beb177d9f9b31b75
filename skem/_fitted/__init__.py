"""What a fitted mixture does."""
