"""The chassis' own tables, in schema `chassis` of every service's database."""
