"""What a facility's own request says, beside the order that is made from a study."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TEXTS = (
    "pseudonym",
    "study_instance_uid",
    "study_date",
    "modality",
    "body_part",
    "examination",
    "contrast",
    "history",
    "callback_phone",
)


def upgrade() -> None:
    """Add the columns; orders that are there were made from studies, so the texts are empty."""
    # One by one and without a new table: cases point to this one.
    op.add_column("orders", sa.Column("notice_id", sa.String(), nullable=True))
    op.add_column("orders", sa.Column("requested_at", sa.DateTime(timezone=True), nullable=True))
    for name in _TEXTS:
        op.add_column("orders", sa.Column(name, sa.String(), nullable=False, server_default=""))
    op.create_index("ix_orders_notice", "orders", ["facility_id", "notice_id"], unique=True)


def downgrade() -> None:
    """Remove what the facilities' requests said."""
    op.drop_index("ix_orders_notice", "orders")
    for name in (*_TEXTS, "requested_at", "notice_id"):
        op.drop_column("orders", name)
