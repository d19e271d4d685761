"""When AWS may back up and maintain data stores."""

from __future__ import annotations

BACKUP_WINDOW = "06:00-07:00"
"""UTC. The American markets have closed."""

MAINTENANCE_WINDOW = "sun:08:00-sun:09:00"
"""UTC. The markets are closed for the day."""
