"""Every query of the enhancement domain."""
