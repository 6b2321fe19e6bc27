"""Critical findings, who was called about them, the messages that went out, and whom to call at a facility."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_JOBS = "render_report", "sign_report"
_JOB = "send_critical_alert"


def _moment(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _text(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.String(), nullable=False)


def _one_of(column: str, *values: str) -> str:
    return f"{column} IN ({', '.join(repr(value) for value in values)})"


def _jobs(*names: str) -> None:
    # SQLite has to copy the table for this; nothing points to it.
    with op.batch_alter_table("outbox") as table:
        table.drop_constraint(op.f("ck_outbox_job_known"), type_="check")
        table.create_check_constraint(op.f("ck_outbox_job_known"), _one_of("job", *names))


def upgrade() -> None:
    """Make the tables, and let the outbox ask for messages."""
    op.create_table(
        "facility_contact",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("facility_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        _text("name"),
        _text("phone"),
        sa.ForeignKeyConstraint(["facility_id"], ["facility.id"], name=op.f("fk_facility_contact_facility_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_facility_contact")),
        sa.UniqueConstraint("facility_id", "position", name=op.f("uq_facility_contact_facility_id")),
    )
    op.create_table(
        "critical_finding",
        sa.Column("id", sa.Integer(), nullable=False),
        _text("public_id"),
        sa.Column("facility_id", sa.Integer(), nullable=False),
        sa.Column("reading_id", sa.Integer(), nullable=False),
        _text("state"),
        _text("category"),
        _text("text"),
        _text("raised_by"),
        _moment("raised_at"),
        _moment("notified_at", nullable=True),
        _moment("acknowledged_at", nullable=True),
        _text("acknowledged_by"),
        _text("outcome"),
        sa.Column("escalations", sa.Integer(), nullable=False),
        _moment("escalated_at", nullable=True),
        sa.CheckConstraint(
            _one_of("state", "raised", "notified", "acknowledged", "closed", "withdrawn"),
            name=op.f("ck_critical_finding_state_known"),
        ),
        sa.CheckConstraint(_one_of("category", "1", "2", "3"), name=op.f("ck_critical_finding_category_known")),
        sa.CheckConstraint(
            "state IN ('raised', 'withdrawn') OR notified_at IS NOT NULL",
            name=op.f("ck_critical_finding_notified_if_past_raised"),
        ),
        sa.CheckConstraint(
            "state NOT IN ('acknowledged', 'closed') OR (acknowledged_at IS NOT NULL AND acknowledged_by <> '')",
            name=op.f("ck_critical_finding_acknowledged_by_somebody"),
        ),
        sa.ForeignKeyConstraint(["facility_id"], ["facility.id"], name=op.f("fk_critical_finding_facility_id")),
        sa.ForeignKeyConstraint(["reading_id"], ["reading.id"], name=op.f("fk_critical_finding_reading_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_critical_finding")),
        sa.UniqueConstraint("public_id", name=op.f("uq_critical_finding_public_id")),
    )
    op.create_index(op.f("ix_critical_finding_facility_id"), "critical_finding", ["facility_id"])
    op.create_index(op.f("ix_critical_finding_reading_id"), "critical_finding", ["reading_id"])
    op.create_index("ix_critical_finding_state", "critical_finding", ["state"])
    op.create_table(
        "critical_attempt",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("finding_id", sa.Integer(), nullable=False),
        _text("person"),
        _text("method"),
        _text("outcome"),
        sa.Column("heard_case_number", sa.Boolean(), nullable=False),
        sa.Column("heard_sex", sa.Boolean(), nullable=False),
        sa.Column("heard_examination_time", sa.Boolean(), nullable=False),
        _moment("at"),
        _text("by"),
        _moment("recorded_at"),
        sa.CheckConstraint(_one_of("outcome", "told", "no_answer"), name=op.f("ck_critical_attempt_outcome_known")),
        sa.CheckConstraint(
            _one_of("method", "phone", "in_person", "video"), name=op.f("ck_critical_attempt_method_known")
        ),
        sa.CheckConstraint(
            "outcome = 'no_answer' OR (heard_case_number AND heard_sex AND heard_examination_time AND person <> '')",
            name=op.f("ck_critical_attempt_read_back_if_told"),
        ),
        sa.ForeignKeyConstraint(["finding_id"], ["critical_finding.id"], name=op.f("fk_critical_attempt_finding_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_critical_attempt")),
    )
    op.create_index("ix_critical_attempt_finding", "critical_attempt", ["finding_id"])
    op.create_table(
        "critical_alert",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("finding_id", sa.Integer(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        _text("channel"),
        _text("outcome"),
        _text("detail"),
        _moment("asked_at"),
        _moment("tried_at", nullable=True),
        _moment("finished_at", nullable=True),
        sa.CheckConstraint(_one_of("channel", "mail", "pager"), name=op.f("ck_critical_alert_channel_known")),
        sa.CheckConstraint(
            _one_of("outcome", "", "answered", "failed", "not_needed"),
            name=op.f("ck_critical_alert_outcome_known"),
        ),
        sa.ForeignKeyConstraint(["finding_id"], ["critical_finding.id"], name=op.f("fk_critical_alert_finding_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_critical_alert")),
        sa.UniqueConstraint("finding_id", "round", "step", name=op.f("uq_critical_alert_finding_id")),
    )
    _jobs(*_JOBS, _JOB)


def downgrade() -> None:
    """Remove the tables, and what the outbox asked for them."""
    op.execute(f"DELETE FROM outbox WHERE job = '{_JOB}'")
    _jobs(*_JOBS)
    for table in ("critical_alert", "critical_attempt", "critical_finding", "facility_contact"):
        op.drop_table(table)
