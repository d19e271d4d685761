"""Policy documents: where they are, what they allow, and whom they admit."""
