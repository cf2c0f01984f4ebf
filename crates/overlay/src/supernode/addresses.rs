//! Lists of addresses that take one word where there is none.

use std::net::SocketAddr;
use std::ops::Deref;

/// A list of addresses behind one word: most are not known, and a leaf keeps
/// many such lists.
#[derive(Debug, Clone, Default)]
pub(super) struct Addresses(Option<Box<Box<[SocketAddr]>>>);

impl Deref for Addresses {
    type Target = [SocketAddr];

    fn deref(&self) -> &[SocketAddr] {
        self.0.as_deref().map_or(&[], |all| all)
    }
}

impl FromIterator<SocketAddr> for Addresses {
    fn from_iter<T: IntoIterator<Item = SocketAddr>>(all: T) -> Self {
        let all: Box<[SocketAddr]> = all.into_iter().collect();
        Self((!all.is_empty()).then(|| Box::new(all)))
    }
}
