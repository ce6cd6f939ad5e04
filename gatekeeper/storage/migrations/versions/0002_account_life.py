"""Around a password: lockout, expiry, second factors, known browsers, mail, remembered sessions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_COUNTING = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    _columns()
    _factors()
    op.create_table(
        "outbox",
        sa.Column("id", _COUNTING, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("user_id", sa.Integer),
        sa.Column("recipient", sa.Text, nullable=False),
        sa.Column("content", sa.LargeBinary),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("expires_at", sa.Float),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("next_attempt_at", sa.Float, nullable=False),
        sa.Column("leased_until", sa.Float, nullable=False, server_default="0"),
        sa.Column("sent_at", sa.Float),
        sa.Column("given_up", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_outbox_next_attempt_at", "outbox", ["next_attempt_at"])


def _columns() -> None:
    for column in (
        sa.Column("must_change", sa.Text, nullable=False, server_default=""),
        sa.Column("two_factor", sa.Text, nullable=False, server_default=""),
        sa.Column("welcomed_at", sa.Float),
        sa.Column("reminded_at", sa.Float),
        sa.Column("failures", sa.Integer, nullable=False, server_default="0"),
        sa.Column("locked_at", sa.Float),
        sa.Column("pending", sa.Integer, nullable=False, server_default="0"),
        sa.Column("pending_at", sa.Float),
    ):
        op.add_column("users", column)
    op.add_column("sessions", sa.Column("renewed_at", sa.Float, nullable=False, server_default="0"))
    op.add_column("sessions", sa.Column("skipped", sa.Text, nullable=False, server_default=""))


def _factors() -> None:
    op.create_table(
        "password_history",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("user_id", sa.Integer, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_password_history"),
        _owner("password_history"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_password_history_user_id", "password_history", ["user_id"])
    op.create_table(
        "totp",
        sa.Column("user_id", sa.Integer, nullable=False),
        sa.Column("secret", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("confirmed_at", sa.Float),
        sa.Column("last_step", sa.Integer, nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("user_id", name="pk_totp"),
        _owner("totp"),
    )
    op.create_table(
        "recovery_codes",
        sa.Column("user_id", sa.Integer, nullable=False),
        sa.Column("hash", sa.LargeBinary(32), nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("used_at", sa.Float),
        sa.PrimaryKeyConstraint("user_id", "hash", name="pk_recovery_codes"),
        _owner("recovery_codes"),
    )
    op.create_table(
        "devices",
        sa.Column("hash", sa.LargeBinary(32), nullable=False),
        sa.Column("user_id", sa.Integer, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("last_used_at", sa.Float, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False, server_default="0"),
        sa.Column("trusted_until", sa.Float),
        sa.Column("user_agent", sa.Text, nullable=False, server_default=""),
        sa.Column("locked_at", sa.Float),
        sa.Column("pending", sa.Integer, nullable=False, server_default="0"),
        sa.Column("pending_at", sa.Float),
        sa.PrimaryKeyConstraint("hash", "user_id", name="pk_devices"),
        _owner("devices"),
    )
    op.create_table(
        "rates",
        sa.Column("bucket", sa.LargeBinary(16), nullable=False),
        sa.Column("full_at", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint("bucket", name="pk_rates"),
    )


def _owner(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["user_id"], ["users.id"], name=f"fk_{table}_user_id_users", ondelete="CASCADE"
    )
