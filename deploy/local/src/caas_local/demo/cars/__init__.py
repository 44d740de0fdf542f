"""The demo's cars: reserved, built, paid or forfeited, resold, registered, delivered (RES, FIN)."""
