//! A word's text.

/// Most bytes that need no memory of their own.
const SHORT_MAX: usize = 22;

/// The bytes of a word. Short ones, which is most, lie in the record itself, so
/// that looking a word up does not go elsewhere.
#[derive(Debug)]
pub(super) enum Text {
    Short { len: u8, bytes: [u8; SHORT_MAX] },
    Long(Box<str>),
}

impl Text {
    pub(super) fn new(word: &str) -> Self {
        let mut bytes = [0; SHORT_MAX];
        match (bytes.get_mut(..word.len()), u8::try_from(word.len())) {
            (Some(part), Ok(len)) => {
                part.copy_from_slice(word.as_bytes());
                Self::Short { len, bytes }
            }
            _ => Self::Long(word.into()),
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Short { len, bytes } => &bytes[..usize::from(*len)],
            Self::Long(word) => word.as_bytes(),
        }
    }

    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(self.bytes()).expect("made from a text")
    }

    /// Beyond the record itself.
    pub(super) fn memory_bytes(&self) -> usize {
        match self {
            Self::Short { .. } => 0,
            Self::Long(word) => word.len() + 16,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_every_length_come_back() {
        for len in 0..60 {
            let word = "é".repeat(len / 2) + &"x".repeat(len % 2);
            let text = Text::new(&word);
            assert_eq!(text.as_str(), word);
            assert_eq!(text.memory_bytes() > 0, word.len() > SHORT_MAX);
        }
        assert_eq!(size_of::<Text>(), 24);
    }
}
