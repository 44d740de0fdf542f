"""What billing knows about invoices, without databases, clocks or partners."""
