"""Reference records, their store, and the index that compares inspection vectors with them.

Import from the defining modules, for instance ``miwake.indexer.records`` or ``miwake.indexer.index``.
"""
