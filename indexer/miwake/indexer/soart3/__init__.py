"""SOART3: how well a reference explains a query, as a plain twin and as a fused kernel."""
