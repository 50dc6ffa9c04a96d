"""Records: versions of files without a history, which people cite by a DOI or by an archive's own id."""
