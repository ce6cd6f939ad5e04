"""An identity provider on a socket: it speaks the protocol of Microsoft Entra ID and shows its error pages.

`with serving(Directory()) as idp:` and it answers at `idp.authority`; `idp.directory` is what it knows, and
`idp.directory.faults` what it does wrong.
"""
