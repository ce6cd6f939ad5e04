"""Identity providers, keys of assertions, forms kept for their owner, sessions that end with the last tab."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for column in ("tab_seen_at", "tab_closed_at"):
        op.add_column("sessions", sa.Column(column, sa.Float, nullable=False, server_default="0"))
    _session_marks()
    op.create_table(
        "identities",
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("user_id", sa.Integer, nullable=False),
        sa.Column("name", sa.Text, nullable=False, server_default=""),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("last_used_at", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint("provider", "subject", name="pk_identities"),
        sa.UniqueConstraint("user_id", "provider", name="uq_identities_user_id"),
        _owner("identities"),
    )
    op.create_table(
        "signing_keys",
        sa.Column("kid", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("private_key", sa.LargeBinary, nullable=False),
        sa.Column("public_key", sa.Text, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("signs_from", sa.Float, nullable=False),
        sa.Column("retires_at", sa.Float),
        sa.PrimaryKeyConstraint("kid", name="pk_signing_keys"),
        sa.UniqueConstraint("number", name="uq_signing_keys_number"),
    )
    op.create_table(
        "kept_forms",
        sa.Column("key", sa.LargeBinary(32), nullable=False),
        sa.Column("user_id", sa.Integer, nullable=False),
        sa.Column("browser", sa.LargeBinary(32), nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("expires_at", sa.Float, nullable=False),
        sa.Column("size", sa.Integer, nullable=False),
        sa.Column("summary", sa.LargeBinary, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_kept_forms"),
        _owner("kept_forms"),
    )
    op.create_index("ix_kept_forms_user_id", "kept_forms", ["user_id"])
    op.create_index("ix_kept_forms_browser", "kept_forms", ["browser"])
    op.create_index("ix_kept_forms_expires_at", "kept_forms", ["expires_at"])


def _session_marks() -> None:
    op.create_table(
        "session_marks",
        sa.Column("key", sa.LargeBinary(32), nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("ended_reason", sa.Text),
        sa.Column("at", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_session_marks"),
    )
    op.create_index("ix_session_marks_at", "session_marks", ["at"])


def _owner(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["user_id"], ["users.id"], name=f"fk_{table}_user_id_users", ondelete="CASCADE"
    )
