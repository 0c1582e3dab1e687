"""What a study found, as plain data that the report lays out and JSON can hold."""

from unmemorize.results.images import data_uri, png
from unmemorize.results.records import (
    ComparisonRow,
    DataSummary,
    EnsembleSummary,
    ForgetSetSummary,
    OriginalSummary,
    Outcome,
    PairedRow,
    Profile,
    ProxyRow,
    Results,
    Sample,
    StratumSummary,
    VerdictRow,
)

__all__ = [
    "ComparisonRow",
    "DataSummary",
    "EnsembleSummary",
    "ForgetSetSummary",
    "OriginalSummary",
    "Outcome",
    "PairedRow",
    "Profile",
    "ProxyRow",
    "Results",
    "Sample",
    "StratumSummary",
    "VerdictRow",
    "data_uri",
    "png",
]
