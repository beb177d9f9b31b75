"""The engine: blocks -> statistics -> structure -> parameters, and the solver.

Nothing in here knows scikit-learn's estimator interface.
"""
