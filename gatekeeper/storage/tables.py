"""Every table, SQLAlchemy Core. Times are seconds since the epoch (REAL); secrets are hashed or encrypted.

A change here needs a migration in `storage/migrations/versions/`; a test compares the two.
"""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

COUNTING = sa.BigInteger().with_variant(sa.Integer, "sqlite")
"""Of rows that are added for ever: two thousand million would not last."""

users = sa.Table(
    "users",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("login", sa.Text, nullable=False),
    sa.Column("login_key", sa.Text, nullable=False, unique=True),  # NFKC + casefold: how logins compare
    sa.Column("name", sa.Text, nullable=False, server_default=""),
    sa.Column("email", sa.Text, nullable=False, server_default=""),
    sa.Column("disabled", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("session_epoch", sa.Integer, nullable=False, server_default="0"),
    sa.Column("password_hash", sa.Text),
    sa.Column("password_changed_at", sa.Float),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("last_sign_in_at", sa.Float),  # the last complete one
    sa.Column("must_change", sa.Text, nullable=False, server_default=""),
    sa.Column("two_factor", sa.Text, nullable=False, server_default=""),
    sa.Column("welcomed_at", sa.Float),
    sa.Column("reminded_at", sa.Float),  # of the password's expiry, for the password of that time
    sa.Column("failures", sa.Integer, nullable=False, server_default="0"),  # since the last complete sign-in
    sa.Column("locked_at", sa.Float),
    sa.Column("pending", sa.Integer, nullable=False, server_default="0"),  # attempts under way
    sa.Column("pending_at", sa.Float),  # when the last of them began
    sqlite_autoincrement=True,  # an id is never given to a second person
)

password_history = sa.Table(
    "password_history",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("user_id", sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("hash", sa.Text, nullable=False),
    sa.Column("at", sa.Float, nullable=False),  # when it was given up
    sqlite_autoincrement=True,
)

totp = sa.Table(
    "totp",
    metadata,
    sa.Column("user_id", sa.ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("secret", sa.LargeBinary, nullable=False),  # encrypted
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("confirmed_at", sa.Float),  # until then it is only shown on the set-up page
    sa.Column("last_step", sa.Integer, nullable=False, server_default="0"),  # RFC 6238: each code once
)

recovery_codes = sa.Table(
    "recovery_codes",
    metadata,
    sa.Column("user_id", sa.ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("hash", sa.LargeBinary(32), primary_key=True),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("used_at", sa.Float),
)

devices = sa.Table(  # browsers that have signed in to an account before
    "devices",
    metadata,
    sa.Column("hash", sa.LargeBinary(32), primary_key=True),  # SHA-256 of the cookie's value
    sa.Column("user_id", sa.ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("last_used_at", sa.Float, nullable=False),
    sa.Column("failures", sa.Integer, nullable=False, server_default="0"),
    sa.Column("trusted_until", sa.Float),
    sa.Column("user_agent", sa.Text, nullable=False, server_default=""),
    sa.Column("locked_at", sa.Float),  # failures, pending and locks count as they do in users
    sa.Column("pending", sa.Integer, nullable=False, server_default="0"),
    sa.Column("pending_at", sa.Float),
)

rates = sa.Table(  # token buckets, for clients and accounts by a keyed hash
    "rates",
    metadata,
    sa.Column("bucket", sa.LargeBinary(16), primary_key=True),
    sa.Column("full_at", sa.Float, nullable=False),  # when the last of what was taken is back
)

outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("id", COUNTING, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("user_id", sa.Integer),
    sa.Column("recipient", sa.Text, nullable=False),
    sa.Column("content", sa.LargeBinary),  # encrypted values for the template; NULL once sent or given up
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("expires_at", sa.Float),  # not sent any more after this
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("next_attempt_at", sa.Float, nullable=False, index=True),
    sa.Column("leased_until", sa.Float, nullable=False, server_default="0"),
    sa.Column("sent_at", sa.Float),
    sa.Column("given_up", sa.Text),  # why it will not be sent: "expired", "refused", "superseded"
    sqlite_autoincrement=True,
)

user_roles = sa.Table(
    "user_roles",
    metadata,
    sa.Column("user_id", sa.ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("role", sa.Text, primary_key=True),
)

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("key", sa.LargeBinary(32), primary_key=True),
    sa.Column(
        "user_id", sa.Integer, nullable=False, index=True
    ),  # no foreign key: an ended row outlives its user
    sa.Column("epoch", sa.Integer, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("last_seen_at", sa.Float, nullable=False),
    sa.Column("remembered", sa.Boolean, nullable=False),
    sa.Column("methods", sa.Text, nullable=False),
    sa.Column("first_factor_at", sa.Float, nullable=False),
    sa.Column("second_factor_at", sa.Float, nullable=False),
    sa.Column("client", sa.Text, nullable=False),
    sa.Column("user_agent", sa.Text, nullable=False),
    sa.Column("grace_until", sa.Float, nullable=False, server_default="0"),
    sa.Column(
        "replaced_by", sa.LargeBinary(32), index=True
    ),  # what ends the new id ends the old ones with it
    sa.Column("ended_at", sa.Float),
    sa.Column("ended_reason", sa.Text),
    sa.Column("renewed_at", sa.Float, nullable=False, server_default="0"),
    sa.Column("skipped", sa.Text, nullable=False, server_default=""),
    sa.Column("tab_seen_at", sa.Float, nullable=False, server_default="0"),
    sa.Column("tab_closed_at", sa.Float, nullable=False, server_default="0"),
)

revocations = sa.Table(
    "revocations",
    metadata,
    sa.Column("seq", COUNTING, primary_key=True),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("session_key", sa.LargeBinary(32)),  # one session, or
    sa.Column("user_id", sa.Integer),  # everything cached of one user (ended, or roles and name changed)
    sqlite_autoincrement=True,
)

session_marks = sa.Table(  # what a session store that may forget must not forget
    "session_marks",
    metadata,
    sa.Column("key", sa.LargeBinary(32), primary_key=True),  # of any id that the session has had
    sa.Column("epoch", sa.Integer, nullable=False),  # it was kept when the user's others ended
    sa.Column("ended_reason", sa.Text),
    sa.Column("at", sa.Float, nullable=False, index=True),
)

tokens = sa.Table(
    "tokens",
    metadata,
    sa.Column("hash", sa.LargeBinary(32), primary_key=True),  # SHA-256 of the token
    sa.Column("purpose", sa.Text, nullable=False),
    sa.Column("user_id", sa.Integer),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("expires_at", sa.Float, nullable=False),
    sa.Column("used_at", sa.Float),
)

facts = sa.Table(  # facts about this installation, such as "the administrator link was used"
    "facts",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
    sa.Column("at", sa.Float, nullable=False),
)

audit_events = sa.Table(
    "audit_events",
    metadata,
    sa.Column("id", COUNTING, primary_key=True),
    sa.Column("at", sa.Float, nullable=False, index=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("user_id", sa.Integer, index=True),
    sa.Column("login", sa.Text, nullable=False, server_default=""),
    sa.Column(
        "actor", sa.Text, nullable=False, server_default=""
    ),  # who did it: a login, "cli:root", "system"
    sa.Column("client", sa.Text, nullable=False, server_default=""),
    sa.Column("request_id", sa.Text, nullable=False, server_default=""),
    sa.Column("details", sa.JSON, nullable=False),
    sqlite_autoincrement=True,
)

identities = sa.Table(  # who an identity provider says somebody is, bound at the first sign-in
    "identities",
    metadata,
    sa.Column("provider", sa.Text, primary_key=True),
    sa.Column("subject", sa.Text, primary_key=True),  # immutable: `sub`, or `tid`:`oid` of Entra ID
    sa.Column("user_id", sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    sa.Column("name", sa.Text, nullable=False, server_default=""),  # at the last sign-in, for people to read
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("last_used_at", sa.Float, nullable=False),
    # One of each provider for an account: whoever is given a used name does not get the account with it.
    sa.UniqueConstraint("user_id", "provider", name="uq_identities_user_id"),
)

signing_keys = sa.Table(  # of the assertions that applications verify
    "signing_keys",
    metadata,
    sa.Column("kid", sa.Text, primary_key=True),
    sa.Column("number", sa.Integer, nullable=False, unique=True),  # two processes cannot make the same
    sa.Column("private_key", sa.LargeBinary, nullable=False),  # encrypted
    sa.Column("public_key", sa.Text, nullable=False),  # a JWK (RFC 7517)
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("signs_from", sa.Float, nullable=False),  # published before, so that verifiers know it by then
    sa.Column("retires_at", sa.Float),  # published until then; NULL until there is a successor
)

kept_forms = sa.Table(  # forms that were posted into an ended session, for their owner to send again
    "kept_forms",
    metadata,
    sa.Column("key", sa.LargeBinary(32), primary_key=True),
    sa.Column("user_id", sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("browser", sa.LargeBinary(32), nullable=False, index=True),  # SHA-256 of what only it has
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("expires_at", sa.Float, nullable=False, index=True),
    sa.Column("size", sa.Integer, nullable=False),
    sa.Column("summary", sa.LargeBinary, nullable=False),  # encrypted: target, content type, fields' names
    sa.Column("content", sa.LargeBinary, nullable=False),  # encrypted: the body
)
