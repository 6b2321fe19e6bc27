"""Why a session ended, for the browser that it was in."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; of sessions that ended before it is not known."""
    op.add_column("user_session", sa.Column("ended_why", sa.String(), nullable=True))


def downgrade() -> None:
    """Remove it."""
    op.drop_column("user_session", "ended_why")
