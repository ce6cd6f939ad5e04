"""The sample legacy application and the demo's mailbox. They know nothing of Gatekeeper."""
