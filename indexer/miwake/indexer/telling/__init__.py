"""What people are told of a station: descriptions, lists, tables, pictures and pages."""
