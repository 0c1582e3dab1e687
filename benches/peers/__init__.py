"""The same work by unmemorize, by plain NumPy and torch, and by public packages: ``python -m benches.peers --help``."""
