"""Where work is done: workers that claim it from the ledger, and what starts them."""
