"""The schema of billing's database: plain SQL, applied in name order by the chassis."""
