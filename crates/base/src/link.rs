//! Links: `gannet:<content id>?name=…&size=…&peer=…`; to a folder, with `kind=folder`.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{ContentId, ParseIdError, PeerId};

const SCHEME: &str = "gannet:";
/// What `kind` says of a folder.
const FOLDER: &str = "folder";

/// A text that should have been a link and is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseLinkError {
    /// It does not start with `gannet:`.
    #[error("a link starts with `gannet:`")]
    Scheme,
    /// What follows `gannet:` is not a content id.
    #[error("the content id of the link is wrong: {0}")]
    Content(ParseIdError),
    /// The size is not a number.
    #[error("the size of the link is not a number of bytes")]
    Size,
    /// It leads to something that this version does not know.
    #[error("the link is to a {kind:?}, which this version does not know; is there a newer one?")]
    Kind {
        /// What it is to, in the link's words.
        kind: String,
    },
    /// A peer is neither `<peer id>` nor `<peer id>@<address>:<port>,…`.
    #[error("a peer of the link is not `<peer id>` or `<peer id>@<address>:<port>`")]
    Peer,
    /// A `%` is not followed by two hexadecimal digits, or the bytes are not
    /// UTF-8.
    #[error("a %-escape of the link is wrong")]
    Escape,
    /// The link is longer than [`GannetLink::BYTES_MAX`] or names more than
    /// [`GannetLink::PEERS_MAX`] peers.
    #[error("the link is too long")]
    Length,
}

/// A peer and where it was last seen: `<peer id>` or
/// `<peer id>@<address>:<port>[,<address>:<port>…]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PeerAddress {
    /// Who.
    pub peer: PeerId,
    /// Where, as far as known; the likeliest first.
    pub addresses: Vec<SocketAddr>,
}

impl PeerAddress {
    /// Most addresses of one peer.
    // Guess: two families on a handful of interfaces.
    pub const ADDRESSES_MAX: usize = 8;
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.peer)?;
        for (n, address) in self.addresses.iter().enumerate() {
            write!(f, "{}{address}", if n == 0 { '@' } else { ',' })?;
        }
        Ok(())
    }
}

impl TryFrom<String> for PeerAddress {
    type Error = ParseLinkError;

    fn try_from(text: String) -> Result<Self, ParseLinkError> {
        text.parse()
    }
}

impl From<PeerAddress> for String {
    fn from(address: PeerAddress) -> Self {
        address.to_string()
    }
}

impl FromStr for PeerAddress {
    type Err = ParseLinkError;

    fn from_str(text: &str) -> Result<Self, ParseLinkError> {
        let (peer, list) = text
            .split_once('@')
            .map_or((text, None), |(peer, list)| (peer, Some(list)));
        let addresses: Vec<SocketAddr> = list
            .into_iter()
            .flat_map(|list| list.split(','))
            .map(|address| address.parse().map_err(|_| ParseLinkError::Peer))
            .collect::<Result<_, _>>()?;
        if addresses.len() > Self::ADDRESSES_MAX {
            return Err(ParseLinkError::Length);
        }
        Ok(Self {
            peer: peer.parse().map_err(|_| ParseLinkError::Peer)?,
            addresses,
        })
    }
}

/// What a link leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LinkKind {
    /// A file: the content is its bytes.
    #[default]
    File,
    /// A folder: the content is the list of what is in it.
    Folder,
}

/// A content and hints for getting it. Only the content id and the kind bind;
/// name, size and peers are somebody's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GannetLink {
    /// The content.
    pub content: ContentId,
    /// What it is.
    pub kind: LinkKind,
    /// What to call it.
    pub name: Option<String>,
    /// Length in bytes: of the file, or of all files of the folder together.
    pub size: Option<u64>,
    /// Who may have it.
    pub peers: Vec<PeerAddress>,
}

impl GannetLink {
    /// Longest link, bytes.
    // Guess: what chat programs still carry whole.
    pub const BYTES_MAX: usize = 4_096;
    /// Most peers in a link.
    // Guess: each costs about 90 bytes.
    pub const PEERS_MAX: usize = 16;
}

impl fmt::Display for GannetLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}", self.content)?;
        let mut separator = '?';
        let mut field = |f: &mut fmt::Formatter<'_>, key: &str, value: &str| {
            let written = write!(f, "{separator}{key}={}", Percent(value));
            separator = '&';
            written
        };
        if self.kind == LinkKind::Folder {
            field(f, "kind", FOLDER)?;
        }
        if let Some(name) = &self.name {
            field(f, "name", name)?;
        }
        if let Some(size) = self.size {
            field(f, "size", &size.to_string())?;
        }
        self.peers
            .iter()
            .try_for_each(|peer| field(f, "peer", &peer.to_string()))
    }
}

impl FromStr for GannetLink {
    type Err = ParseLinkError;

    /// Unknown fields are passed over, so that later links still parse.
    fn from_str(text: &str) -> Result<Self, ParseLinkError> {
        if text.len() > Self::BYTES_MAX {
            return Err(ParseLinkError::Length);
        }
        let rest = text
            .trim()
            .strip_prefix(SCHEME)
            .ok_or(ParseLinkError::Scheme)?;
        let (content, fields) = rest.split_once('?').unwrap_or((rest, ""));
        let content = content.parse().map_err(ParseLinkError::Content)?;
        let mut link = Self {
            content,
            kind: LinkKind::File,
            name: None,
            size: None,
            peers: Vec::new(),
        };
        for field in fields.split('&').filter(|field| !field.is_empty()) {
            let (key, value) = field.split_once('=').unwrap_or((field, ""));
            let value = unescape(value)?;
            match key {
                "kind" if value == FOLDER => link.kind = LinkKind::Folder,
                // What is fetched as a file and is none would be of no use.
                "kind" => return Err(ParseLinkError::Kind { kind: value }),
                "name" => link.name = Some(value),
                "size" => link.size = Some(value.parse().map_err(|_| ParseLinkError::Size)?),
                "peer" if link.peers.len() == Self::PEERS_MAX => {
                    return Err(ParseLinkError::Length);
                }
                "peer" => link.peers.push(value.parse()?),
                _ => {}
            }
        }
        Ok(link)
    }
}

/// Percent-encodes all but the unreserved characters of RFC 3986, section 2.3,
/// and `@`, `:`, `,`, `[`, `]`, which addresses need to stay readable.
struct Percent<'a>(&'a str);

impl fmt::Display for Percent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => write!(f, "{}", char::from(byte))?,
                b'-' | b'.' | b'_' | b'~' | b'@' | b':' | b',' | b'[' | b']' => {
                    write!(f, "{}", char::from(byte))?;
                }
                _ => write!(f, "%{byte:02X}")?,
            }
        }
        Ok(())
    }
}

fn unescape(text: &str) -> Result<String, ParseLinkError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first != b'%' {
            bytes.push(*first);
            rest = tail;
            continue;
        }
        let [high, low, tail @ ..] = tail else {
            return Err(ParseLinkError::Escape);
        };
        let digit = |byte: u8| char::from(byte).to_digit(16).ok_or(ParseLinkError::Escape);
        let value = digit(*high)? * 16 + digit(*low)?;
        bytes.push(u8::try_from(value).map_err(|_| ParseLinkError::Escape)?);
        rest = tail;
    }
    String::from_utf8(bytes).map_err(|_| ParseLinkError::Escape)
}

/// Body of the fuzz target `link`: any text parses or is refused, and what
/// parses survives being written and read again.
#[doc(hidden)]
pub fn fuzz(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    if let Ok(link) = text.parse::<GannetLink>() {
        let written = link.to_string();
        if written.len() <= GannetLink::BYTES_MAX {
            assert_eq!(written.parse(), Ok(link));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn links_round_trip() {
        let peer = PeerId::from_bytes([5; 32]);
        let link = GannetLink {
            content: ContentId::of(b"x"),
            kind: LinkKind::File,
            name: Some("Harry & Potter=1% é.txt".to_owned()),
            size: Some(42),
            peers: vec![
                PeerAddress {
                    peer,
                    addresses: Vec::new(),
                },
                PeerAddress {
                    peer,
                    addresses: ["[::1]:99", "10.0.0.1:7"]
                        .map(|a| a.parse().unwrap())
                        .to_vec(),
                },
            ],
        };
        let text = link.to_string();
        assert!(text.contains("name=Harry%20%26%20Potter%3D1%25%20%C3%A9.txt&size=42&peer="));
        assert_eq!(text.parse(), Ok(link.clone()));
        let folder = GannetLink {
            kind: LinkKind::Folder,
            ..link
        };
        let text = folder.to_string();
        assert!(text.contains("?kind=folder&name="), "{text}");
        assert_eq!(text.parse(), Ok(folder));
    }

    #[test]
    fn wrong_links_say_why() {
        let id = ContentId::of(b"x");
        let cases = [
            ("magnet:?x".to_owned(), ParseLinkError::Scheme),
            (
                "gannet:12".to_owned(),
                ParseLinkError::Content(ParseIdError::Length { found: 2 }),
            ),
            (format!("gannet:{id}?size=big"), ParseLinkError::Size),
            (
                format!("gannet:{id}?kind=ship"),
                ParseLinkError::Kind {
                    kind: "ship".to_owned(),
                },
            ),
            (format!("gannet:{id}?peer=me"), ParseLinkError::Peer),
            (format!("gannet:{id}?name=%4"), ParseLinkError::Escape),
            (format!("gannet:{id}?name=%ff"), ParseLinkError::Escape),
            (
                format!("gannet:{id}?name={}", "a".repeat(5_000)),
                ParseLinkError::Length,
            ),
        ];
        for (text, error) in cases {
            assert_eq!(text.parse::<GannetLink>(), Err(error), "{text}");
        }
        assert!(format!("gannet:{id}?later=1").parse::<GannetLink>().is_ok());
    }

    proptest! {
        #[test]
        fn any_text_is_taken_or_refused(text in "gannet:[0-9a-f]{64}\\?(name|size|kind|peer)=[%a-f0-9é@]{0,40}") {
            fuzz(text.as_bytes());
        }
    }
}
