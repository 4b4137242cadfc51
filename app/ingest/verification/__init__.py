"""How a tenant sees to it that its senders prove themselves: profiles, trials of them, and what was refused."""
