"""The commands of `dotbogi`, a module each."""
