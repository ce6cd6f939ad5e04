"""The processes of one installation on one machine: sockets, supervisor, workers, reload, drain."""
