"""Department and mail address of a facility's contacts, and which of them is the second one told."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; contacts that are there have a telephone only."""
    for name in ("department", "mail"):
        op.add_column("facility_contact", sa.Column(name, sa.String(), nullable=False, server_default=""))
    op.add_column(
        "facility_contact", sa.Column("is_second", sa.Boolean(), nullable=False, server_default=sa.false())
    )


def downgrade() -> None:
    """Remove them; names, telephones and their order stay."""
    for name in ("is_second", "mail", "department"):
        op.drop_column("facility_contact", name)
