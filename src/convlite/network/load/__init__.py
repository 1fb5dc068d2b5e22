"""Files and live models of other libraries, read as graphs."""
