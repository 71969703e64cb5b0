"""The subcommands of ``miwake-serve``: one module for each family."""
