"""The rest of a purchase's life in the demo: planned, renewed, ended, withdrawn from, stolen."""
