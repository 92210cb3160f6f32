//! What keeps the store's promises, one switch each. Anything but the default is a defect that tests put in.

/// The guards of writes and reads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Guards {
    /// A beginning changes no record with a greater fence (S3).
    pub(crate) fence: bool,
    /// Nothing changes a terminal record (S8).
    pub(crate) write_once: bool,
    /// Documents of others are read as far as they can be.
    pub(crate) lenient: bool,
    /// What is cut out of an output is deleted.
    pub(crate) cut: bool,
    /// A claimed alert is nobody else's before its lease is over.
    pub(crate) lease: bool,
    /// What is too large is refused before it is sent with others.
    pub(crate) bounded: bool,
    /// A Go master sees output that comes after the end.
    pub(crate) late_output: bool,
    /// A release serves only if what the caller saw serves.
    pub(crate) as_seen: bool,
    /// A module is what its digest says.
    pub(crate) digest: bool,
    /// A value changes only if it is as expected.
    pub(crate) expected: bool,
    /// A value whose time has run out is not there.
    pub(crate) expiry: bool,
}

impl Default for Guards {
    fn default() -> Self {
        Self {
            fence: true,
            write_once: true,
            lenient: true,
            cut: true,
            lease: true,
            bounded: true,
            late_output: true,
            as_seen: true,
            digest: true,
            expected: true,
            expiry: true,
        }
    }
}
