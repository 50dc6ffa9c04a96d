"""What strangers' code may reach of the network: one table, and the packet filter's rules that follow from it."""
