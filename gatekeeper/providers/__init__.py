"""Identity providers: who somebody is, said by Microsoft Entra ID or another OpenID Connect provider."""
