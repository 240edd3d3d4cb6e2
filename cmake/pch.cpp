// Compiled once so that every library can reuse its precompiled header.
