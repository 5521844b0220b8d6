//! How many endpoints vote, and how many make a majority.

use std::fmt;

/// The most endpoints a set may have.
pub const ENDPOINTS_MAX: usize = 15;

/// An endpoint's place in the set: 0 to N - 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointId(u8);

impl EndpointId {
    /// The endpoint at `index`, if a set can have that many.
    #[must_use]
    pub fn from_index(index: usize) -> Option<Self> {
        u8::try_from(index).ok().filter(|_| index < ENDPOINTS_MAX).map(Self)
    }

    /// The place as an index.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// N endpoints and their majority M = N/2 + 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quorum {
    endpoints: u8,
}

/// A number of endpoints that cannot vote: none, even, or too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuorumError {
    /// How many were named.
    pub endpoints: usize,
}

impl fmt::Display for QuorumError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let endpoints = self.endpoints;
        write!(
            f,
            "{endpoints} endpoints cannot vote: name an odd number, 3 or 5 (1 for development), at most {ENDPOINTS_MAX}"
        )
    }
}

impl std::error::Error for QuorumError {}

impl Quorum {
    /// A set of `endpoints`.
    ///
    /// # Errors
    /// Refuses none, an even number (it tolerates no more failures than one fewer) and more than [`ENDPOINTS_MAX`].
    pub fn new(endpoints: usize) -> Result<Self, QuorumError> {
        match u8::try_from(endpoints) {
            Ok(count) if count % 2 == 1 && endpoints <= ENDPOINTS_MAX => Ok(Self { endpoints: count }),
            _ => Err(QuorumError { endpoints }),
        }
    }

    /// N.
    #[must_use]
    pub const fn endpoints(self) -> u32 {
        self.endpoints as u32
    }

    /// M, the votes that decide.
    #[must_use]
    pub const fn majority(self) -> u32 {
        self.endpoints() / 2 + 1
    }

    /// N - M, the endpoints that may be missing.
    #[must_use]
    pub const fn spare(self) -> u32 {
        self.endpoints() - self.majority()
    }

    /// Every endpoint, in order.
    pub fn ids(self) -> impl Iterator<Item = EndpointId> + use<> {
        (0..self.endpoints).map(EndpointId)
    }

    /// The whole set.
    #[must_use]
    pub fn all(self) -> EndpointSet {
        self.ids().collect()
    }
}

/// A set of endpoints, each counted once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndpointSet(u16);

impl EndpointSet {
    /// None.
    pub const EMPTY: Self = Self(0);

    /// Adds an endpoint.
    pub fn insert(&mut self, endpoint: EndpointId) {
        self.0 |= 1 << endpoint.0;
    }

    /// Takes an endpoint out.
    pub fn remove(&mut self, endpoint: EndpointId) {
        self.0 &= !(1 << endpoint.0);
    }

    /// Takes the first endpoint out and gives it.
    pub fn pop(&mut self) -> Option<EndpointId> {
        let first = self.iter().next()?;
        self.remove(first);
        Some(first)
    }

    /// Whether an endpoint is in the set.
    #[must_use]
    pub const fn contains(self, endpoint: EndpointId) -> bool {
        self.0 & (1 << endpoint.0) != 0
    }

    /// How many are in the set.
    #[must_use]
    pub const fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// Whether none is.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those in either.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those in both.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those here and not there.
    #[must_use]
    pub const fn difference(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The endpoints, in order.
    pub fn iter(self) -> impl Iterator<Item = EndpointId> {
        (0..16).map(EndpointId).filter(move |&endpoint| self.contains(endpoint))
    }
}

impl FromIterator<EndpointId> for EndpointSet {
    fn from_iter<I: IntoIterator<Item = EndpointId>>(endpoints: I) -> Self {
        let mut set = Self::default();
        for endpoint in endpoints {
            set.insert(endpoint);
        }
        set
    }
}
