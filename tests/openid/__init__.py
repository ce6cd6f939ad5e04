"""A certified OpenID provider that nobody here wrote: npm's oidc-provider, by its issuer alone."""
