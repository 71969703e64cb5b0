"""The subcommands of ``miwake-index``, a module for each kind of work."""
