"""What training minimises: from a batch of scaled vectors to one number."""
