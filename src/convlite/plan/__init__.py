"""How a call is computed: geometry + weights + dtype + instruction set -> a frozen record."""
