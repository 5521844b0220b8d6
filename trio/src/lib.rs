//! Starts and stops real servers.
