"""The gRPC service in front of the stations of one store."""
