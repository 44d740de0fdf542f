"""The SQL migrations of this service, applied in name order by the chassis."""
