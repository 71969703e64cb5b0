"""Several processes behind one address: what each of them is, and who looks after them."""
