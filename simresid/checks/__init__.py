"""Diagnostic tests, one module each: array mathematics first, the `SimulatedResiduals` front end after."""
