"""`python -m unmemorize` is the command `unmemorize`."""

from unmemorize.cli import main

main()
