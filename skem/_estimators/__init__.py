"""What estimators share that hold a mixture."""
