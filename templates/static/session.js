// Runs in the application's pages (upstream.session_script), deferred: nothing of theirs waits for it.
"use strict";
