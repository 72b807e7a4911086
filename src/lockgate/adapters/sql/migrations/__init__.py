"""The schema's history, as Alembic keeps it."""
