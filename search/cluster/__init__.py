"""Work past one machine, on Ray: blocks of work for actors, and serving from shards."""
