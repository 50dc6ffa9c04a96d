"""People's own credentials for hosts of repositories: kept encrypted, used for their launches alone (docs/adr/0019)."""
