"""The payments database: plain SQL, one statement per function, lists in and out, however many payments."""
