"""The subcommands of ``miwake-client``, a module for each kind of work."""
