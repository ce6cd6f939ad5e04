"""What a request costs, beside nginx and HAProxy in the same run. `./run bench`."""
