"""Links, references and commits: from what a stranger wrote to the files of one commit."""
