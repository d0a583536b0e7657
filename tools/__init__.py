"""The executables: options, one call, lines out."""
