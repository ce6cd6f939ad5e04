"""Three real back offices describe how people sign in; each of their sentences is walked through here."""
