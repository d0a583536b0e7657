"""What every executable shares: options, the case stream, the one main."""
