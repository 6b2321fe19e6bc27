"""Second factors beside the one-time code, budgets of refusals, what a person prefers, locked sessions."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables and columns; nobody has a security key or recovery codes yet."""
    op.create_table(
        "security_key",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("credential_id", sa.String(), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("sign_count", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name="fk_security_key_user_id"),
        sa.PrimaryKeyConstraint("id", name="pk_security_key"),
        sa.UniqueConstraint("credential_id", name="uq_security_key_credential_id"),
    )
    op.create_index("ix_security_key_user_id", "security_key", ["user_id"])
    op.create_table(
        "recovery_code",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("code_hash", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name="fk_recovery_code_user_id"),
        sa.PrimaryKeyConstraint("id", name="pk_recovery_code"),
    )
    op.create_index("ix_recovery_code_user_id", "recovery_code", ["user_id"])
    op.create_table(
        "key_challenge",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("browser_sha256", sa.String(), nullable=False),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("challenge", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_key_challenge"),
    )
    op.create_index("ix_key_challenge_browser_sha256", "key_challenge", ["browser_sha256"])
    # One by one and without a new table: other tables point to the accounts.
    op.add_column("user_account", sa.Column("theme", sa.String(), nullable=False, server_default=""))
    op.add_column("user_account", sa.Column("size", sa.Integer(), nullable=False, server_default="100"))
    op.add_column(
        "user_account", sa.Column("password_changed_at", sa.DateTime(timezone=True), nullable=True)
    )
    op.add_column(
        "user_account",
        sa.Column("password_is_initial", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    op.add_column("sign_in_failure", sa.Column("address", sa.String(), nullable=False, server_default=""))
    op.add_column("sign_in_failure", sa.Column("device_sha256", sa.String(), nullable=True))
    op.create_index("ix_sign_in_failure_address", "sign_in_failure", ["address", "at"])
    op.add_column("user_session", sa.Column("locked_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    """Remove them; people sign in with the one-time code again, which everybody has."""
    op.drop_column("user_session", "locked_at")
    op.drop_index("ix_sign_in_failure_address", "sign_in_failure")
    for name in ("device_sha256", "address"):
        op.drop_column("sign_in_failure", name)
    for name in ("password_is_initial", "password_changed_at", "size", "theme"):
        op.drop_column("user_account", name)
    for name in ("key_challenge", "recovery_code", "security_key"):
        op.drop_table(name)
