"""The order of the gallery: from the first example to the last special case."""

ORDER = [
    "plot_em_by_hand.py",
    "plot_old_faithful.py",
    "plot_pictures.py",
    "plot_covariances.py",
    "plot_shapes.py",
    "plot_choosing_k.py",
    "plot_merging.py",
    "plot_noise.py",
    "plot_known_labels.py",
    "plot_concentration_prior.py",
    "plot_pipelines.py",
    "plot_weights.py",
    "plot_branches.py",
    "plot_imputation.py",
    "plot_latent_classes.py",
    "plot_customers.py",
    "plot_outliers.py",
    "plot_robust.py",
    "plot_alarms.py",
    "plot_degenerate.py",
    "plot_sense.py",
    "plot_acceleration.py",
    "plot_million_rows.py",
    "plot_dask.py",
    "plot_stream.py",
]


def place(filename: str) -> int:
    """Return where a file comes."""
    return ORDER.index(filename)
