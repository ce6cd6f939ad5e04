"""Every way in which a sign-in at a provider fails: what the person reads, and what the operator does.

The person's texts are shown through gettext, with {provider} for its name; the operator's go into the
log, with {client_id}, {redirect_uri} and {public_url} for what must be registered.
"""

from __future__ import annotations

from typing import NamedTuple


def N_(message: str) -> str:
    """Mark a text for extraction; it is translated where it is shown."""
    return message


class Message(NamedTuple):
    """One code's texts. `status` is the HTTP status of the page."""

    status: int
    title: str
    text: str
    operator: str


_TRY_AGAIN = N_("Please start again at the sign-in page.")
_ASK = N_("Please ask your administrator, and name the reference below.")

MESSAGES: dict[str, Message] = {
    # What we decide about a person that the provider knows.
    "aad_user_not_found": Message(
        403,
        N_("AAD User not found"),
        N_(
            "You signed in with Microsoft, but no account here has your user principal name. "
            "Please ask your administrator to add it."
        ),
        "add an account whose login is this person's user principal name (`gatekeeper user add`), or switch "
        "provisioning on",
    ),
    "user_not_found": Message(
        403,
        N_("User not found"),
        N_(
            "You signed in with {provider}, but there is no account for you here. "
            "Please ask your administrator to add it."
        ),
        "add an account whose login is what the provider calls this person (`gatekeeper user add`), or "
        "switch "
        "provisioning on",
    ),
    "other_person": Message(
        403,
        N_("This account belongs to somebody else"),
        N_(
            "The account of your name was first used by another person of {provider}. "
            "Please ask your administrator."
        ),
        "the name was given to another person, or the person was made anew at the provider. When the account "
        "is really to be theirs: `gatekeeper user unlink LOGIN --provider NAME`",
    ),
    "disabled": Message(
        403,
        N_("Your account is disabled"),
        N_("You signed in with {provider}, but your account here is switched off. Ask your administrator."),
        "nothing, when it is meant to be; else `gatekeeper user enable LOGIN`",
    ),
    "locked": Message(
        403,
        N_("Your account is locked"),
        N_(
            "Your account here is locked after too many failed attempts. Follow the e-mail that you got "
            "about it, or ask your administrator."
        ),
        "too many wrong passwords or codes: `gatekeeper user unlock LOGIN`, or wait as lockout.unlock_after "
        "says",
    ),
    "no_role": Message(
        403,
        N_("You have no role here"),
        N_("You signed in with {provider}, but nobody has given you a role here. Ask your administrator."),
        "no account was made, because none of the person's groups and app roles is in the role mapping: add "
        "the person to one of them, or map another one",
    ),
    "groups_overage": Message(
        403,
        N_("Your rights could not be read"),
        N_("You are in more groups than {provider} can name at once. Please ask your administrator."),
        "the token leaves groups out because there are too many: set microsoft.read_groups (permission "
        "User.Read), or let the registration send only groups that are assigned to the application, or use "
        "app roles",
    ),
    "email_unverified": Message(
        403,
        N_("Your e-mail address is not verified"),
        N_("Please confirm your e-mail address at {provider}, then sign in again."),
        "accounts are found by e-mail here (claims.login), and the provider does not say that it has "
        "verified "
        "this person's (email_verified)",
    ),
    # What the person did, or what their organisation decided.
    "cancelled": Message(
        403,
        N_("Sign-in was cancelled"),
        N_("You did not finish signing in with {provider}. You can try again, or sign in another way."),
        "nothing: the person pressed Cancel or declined the consent",
    ),
    "consent": Message(
        403,
        N_("Consent is missing"),
        N_(
            "Nobody has allowed this application to sign you in with {provider} yet. Ask your administrator "
            "to."
        ),
        "grant admin consent: Entra admin center > App registrations > {client_id} > API permissions > Grant "
        "admin consent",
    ),
    "no_access": Message(
        403,
        N_("You may not use this application"),
        N_(
            "Your organisation has not given your {provider} account access to it. Please ask your "
            "administrator."
        ),
        "assign the person or one of their groups to the application (Enterprise applications > {client_id} "
        "> "
        "Users and groups), or invite them as a guest into the tenant",
    ),
    "blocked": Message(
        403,
        N_("Your {provider} account is blocked"),
        N_(
            "{provider} says that this account is locked, switched off or unknown there. Wait and try "
            "again, or "
            "ask the people who manage your {provider} account."
        ),
        "Entra admin center > Users: unblock or enable the account; AADSTS50053 ends by itself after a while",
    ),
    "password_expired": Message(
        403,
        N_("Your {provider} password has expired"),
        N_("Please change it at {provider}, then sign in again."),
        "nothing here: the person changes the password at the provider",
    ),
    "mfa_required": Message(
        403,
        N_("{provider} asks for a second factor"),
        N_("Please set up or confirm a second factor for your {provider} account, then sign in again."),
        "the person completes multifactor authentication at the provider (https://aka.ms/mfasetup), or the "
        "Conditional Access policy is changed",
    ),
    "mfa_failed": Message(
        403,
        N_("The second factor was not confirmed"),
        N_("{provider} did not get your confirmation in time, or it was declined. Please try again."),
        "when it goes on: Entra admin center > Users > Authentication methods of the person",
    ),
    "conditional_access": Message(
        403,
        N_("Your organisation does not allow this sign-in"),
        N_(
            "A rule of your organisation about devices, places or risk forbids it. Use a managed device or "
            "your "
            "usual place, or ask your administrator."
        ),
        "Entra admin center > Sign-in logs shows the Conditional Access policy that failed; include or "
        "exclude "
        "the application {client_id} there",
    ),
    "asks_again": Message(
        403,
        N_("{provider} needs you to sign in again"),
        N_("Your sign-in there is over, or it has to ask which account you mean. Please try again."),
        "nothing; with prompt: none in the configuration, remove it",
    ),
    "flow_expired": Message(
        400,
        N_("This sign-in took too long"),
        _TRY_AGAIN,
        "nothing: the code from the provider was too old or used before; when it happens to everybody, "
        "compare "
        "this machine's clock",
    ),
    "state_mismatch": Message(
        400,
        N_("This sign-in does not belong to this browser"),
        N_("It was begun in another browser or too long ago. Please start again at the sign-in page."),
        "nothing, when it is rare; else check that public_url is the address that people use, and that no "
        "proxy "
        "removes cookies",
    ),
    "state_missing": Message(
        400,
        N_("This address does not work by itself"),
        _TRY_AGAIN,
        "nothing: somebody opened the address where {provider} sends people back",
    ),
    "callback_invalid": Message(
        400,
        N_("The answer cannot be read safely"),
        _TRY_AGAIN,
        "the address that came back is malformed: an attack, or a proxy that changes addresses",
    ),
    # What is wrong with the answer of the provider, or with its configuration.
    "token_invalid": Message(
        403,
        N_("The sign-in could not be verified"),
        _ASK,
        "the provider's ID token was refused; the detail says which check failed. Check tenant or issuer, "
        "client_id, and that nothing between us and the provider changes answers",
    ),
    "tenant_not_allowed": Message(
        403,
        N_("Your organisation cannot sign in here"),
        N_("Please use the {provider} account of the organisation that this application belongs to."),
        "the person's tenant is not the configured one: add it to microsoft.allowed_tenants if it should be",
    ),
    "clock_skew": Message(
        503,
        N_("The clocks do not agree"),
        N_(
            "This server and {provider} have different times. Please try again later, or tell your "
            "administrator."
        ),
        "this machine's clock differs from the provider's: set it by NTP; `gatekeeper doctor` measures the "
        "difference",
    ),
    "unreachable": Message(
        503,
        N_("{provider} cannot be reached"),
        N_("{provider} does not answer at the moment. Please try again soon, or sign in another way."),
        "the provider did not answer in time: name resolution, firewall, TLS inspection (ca_file), or an "
        "outage "
        "there",
    ),
    "provider_busy": Message(
        503,
        N_("{provider} has a problem"),
        N_("It could not finish the sign-in at the moment. Please try again in a few minutes."),
        "nothing here: the provider reports a failure of its own",
    ),
    "discovery_invalid": Message(
        503,
        N_("{provider} is not set up correctly"),
        _ASK,
        "what the provider publishes about itself is unusable; the detail says why. Check issuer, tenant and "
        "authority",
    ),
    "secret_invalid": Message(
        503,
        N_("Signing in with {provider} is not set up correctly"),
        _ASK,
        "the provider refused our credentials. AADSTS7000222: the client secret has expired, make a new one "
        "(Certificates & secrets) and put it into the configuration. AADSTS7000215: it is the secret's id "
        "instead of its value, or another application's. AADSTS7000218: the registration is of the kind Web "
        "and "
        "needs client_secret or certificate; without one, register {redirect_uri} as Single-page application",
    ),
    "single_page": Message(
        503,
        N_("Signing in with {provider} is not set up correctly"),
        _ASK,
        "the kind of registration does not fit. With client_secret or certificate, {redirect_uri} must be "
        "registered as Web; with client_id alone, as Single-page application, and public_url must be "
        "{public_url}",
    ),
    "misconfigured": Message(
        503,
        N_("Signing in with {provider} is not set up correctly"),
        _ASK,
        "the provider does not accept the request of this application; look the code up at "
        "https://login.microsoftonline.com/error, and run `gatekeeper doctor`",
    ),
    "provider_error": Message(
        403,
        N_("{provider} refused the sign-in"),
        _ASK,
        "look the code up at https://login.microsoftonline.com/error or in the provider's own log",
    ),
    # The three that stay on Microsoft's own page: for the help at the sign-in page, and for doctor.
    "application_unknown": Message(
        503,
        N_("Application not found in the directory"),
        N_(
            "Microsoft shows AADSTS700016: this application is not registered in your organisation, or you "
            "used "
            "an account of another one. Try your work account; if it stays, tell your administrator."
        ),
        "AADSTS700016: register the application in the tenant, or correct microsoft.client_id ({client_id}) "
        "or "
        "microsoft.tenant",
    ),
    "redirect_mismatch": Message(
        503,
        N_("The redirect address is not registered"),
        N_(
            "Microsoft shows AADSTS50011: the address of this application is missing in its registration. "
            "Please tell your administrator."
        ),
        "AADSTS50011: register exactly {redirect_uri} (Entra admin center > App registrations > {client_id} "
        "> "
        "Authentication)",
    ),
    "wrong_credentials": Message(
        403,
        N_("Microsoft does not accept user name or password"),
        N_(
            "Microsoft shows AADSTS50126: the user name or password of your Microsoft account is wrong. "
            "They are "
            "not those of the form here. Reset it at Microsoft, or ask the people who manage your account."
        ),
        "AADSTS50126: nothing here, the person mistyped; the account's password is the directory's affair",
    ),
}

ANOTHER_ACCOUNT = frozenset(
    {
        *("aad_user_not_found", "user_not_found", "other_person", "disabled", "locked", "no_role"),
        *("email_unverified", "no_access", "blocked", "conditional_access", "tenant_not_allowed"),
    }
)
"""What is about the account that somebody signed in with: with another one it may work."""

STAY_AT_MICROSOFT = ("application_unknown", "redirect_mismatch", "wrong_credentials")
"""Shown by Microsoft on its own page, from which nobody comes back: explained at the sign-in page."""


def message_of(code: str) -> Message:
    """The texts of a code; those of "provider_error" for one that nobody knows."""
    return MESSAGES.get(code, MESSAGES["provider_error"])
