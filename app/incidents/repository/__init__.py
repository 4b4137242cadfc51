"""Every query of this domain; nothing outside it imports these modules."""
