"""Child processes keep their bytecode, as a user's do: without it each start compiles the sources again."""

import os

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
