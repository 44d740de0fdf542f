"""The rules of purchases, the catalogue and what customers are told. Pure: no SQL, HTTP, clock or broker."""
