"""Rules that every deployment must follow: AWS's security best practices, and the platform's own."""
