"""What every executable shares: options, streams, output, exit codes."""
