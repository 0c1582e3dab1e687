"""`python -m unmemorize` is the command `unmemorize`."""

from unmemorize.cli import main

if __name__ == "__main__":
    main()
