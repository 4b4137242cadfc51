"""Every query of remediation."""
