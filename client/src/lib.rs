//! The quorum lease client.
