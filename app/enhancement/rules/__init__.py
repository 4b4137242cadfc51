"""The decisions of an enhancement, all pure: no clock, no network, no database."""
