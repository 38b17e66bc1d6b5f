"""`python -m service`: the same as the console script `joblog`.

For a clone that is not installed, and for tests that start a process of their own. It holds nothing
else.
"""

from service.cli import main

if __name__ == "__main__":
    main()
