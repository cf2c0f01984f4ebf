//! Reading server-sent events.

use std::collections::VecDeque;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct SseEvent {
    /// Its name; empty if it has none.
    pub(crate) name: String,
    /// Its data, lines joined with `\n`.
    pub(crate) data: String,
}

/// Why a stream cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// One event is longer than a mebibyte.
    #[error("an event of the stream is too long")]
    TooLong,
    /// The bytes are no UTF-8.
    #[error("the stream is not UTF-8")]
    NotText,
}

/// Takes a stream in pieces of any length and gives its events. `id` and
/// `retry` are passed over: nobody here resumes a stream.
// Source: HTML standard, section 9.2.6, "Interpreting an event stream".
#[derive(Debug, Default)]
pub(crate) struct SseParser {
    line: Vec<u8>,
    /// The last byte was a CR: an LF now belongs to it.
    after_cr: bool,
    started: bool,
    event: SseEvent,
    has_data: bool,
    ready: VecDeque<SseEvent>,
}

impl SseParser {
    /// Most bytes of one event.
    // Guess: a row with 500 sources of the longest paths is below it.
    pub(crate) const EVENT_BYTES_MAX: usize = 1 << 20;

    /// Takes the next piece. After an error the parser is of no more use.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), StreamError> {
        for &byte in bytes {
            let lf_of_cr = self.after_cr && byte == b'\n';
            self.after_cr = byte == b'\r';
            if lf_of_cr {
                continue;
            }
            if byte == b'\n' || byte == b'\r' {
                self.end_line()?;
            } else {
                self.line.push(byte);
                if self.line.len() + self.event.data.len() > Self::EVENT_BYTES_MAX {
                    return Err(StreamError::TooLong);
                }
            }
        }
        Ok(())
    }

    /// The next whole event.
    pub(crate) fn next(&mut self) -> Option<SseEvent> {
        self.ready.pop_front()
    }

    fn end_line(&mut self) -> Result<(), StreamError> {
        let line = std::mem::take(&mut self.line);
        let mut line = std::str::from_utf8(&line).map_err(|_| StreamError::NotText)?;
        if !std::mem::replace(&mut self.started, true) {
            line = line.strip_prefix('\u{feff}').unwrap_or(line);
        }
        if line.is_empty() {
            self.end_event();
            return Ok(());
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event.name),
            "data" => {
                if self.has_data {
                    self.event.data.push('\n');
                }
                self.has_data = true;
                self.event.data.push_str(value);
            }
            // A comment (nothing before the colon), or a field of no use here.
            _ => {}
        }
        Ok(())
    }

    fn end_event(&mut self) {
        let event = std::mem::take(&mut self.event);
        if std::mem::take(&mut self.has_data) {
            self.ready.push_back(event);
        }
    }
}

/// The body of the fuzz target: how a stream is cut must not matter.
pub fn fuzz_sse(input: &[u8]) {
    let Some((&step, stream)) = input.split_first() else {
        return;
    };
    let read = |step: usize| {
        let mut parser = SseParser::default();
        let result = stream.chunks(step).try_for_each(|piece| parser.push(piece));
        (result, parser.ready)
    };
    let (result, events) = read(usize::from(step) + 1);
    assert_eq!((result, &events), {
        let (whole, same) = read(stream.len().max(1));
        assert_eq!(same, events);
        (whole, &events)
    });
    assert!(
        events
            .iter()
            .all(|event| event.data.len() <= SseParser::EVENT_BYTES_MAX)
    );
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The whole stream at once, the slow and obvious way.
    fn reference(stream: &str) -> Vec<SseEvent> {
        let stream = stream.strip_prefix('\u{feff}').unwrap_or(stream);
        let stream = stream.replace("\r\n", "\n").replace('\r', "\n");
        // What is not followed by a line's end is not a line yet.
        let complete = stream.rfind('\n').map_or("", |end| &stream[..=end]);
        let mut events = Vec::new();
        let mut lines: Vec<&str> = Vec::new();
        for line in complete.lines() {
            if !line.is_empty() {
                lines.push(line);
                continue;
            }
            let of = |name: &str| {
                lines
                    .iter()
                    .filter_map(|line| match line.split_once(':') {
                        Some((field, value)) if field == name => {
                            Some(value.strip_prefix(' ').unwrap_or(value).to_owned())
                        }
                        None if *line == name => Some(String::new()),
                        _ => None,
                    })
                    .collect::<Vec<_>>()
            };
            if !of("data").is_empty() {
                events.push(SseEvent {
                    name: of("event").pop().unwrap_or_default(),
                    data: of("data").join("\n"),
                });
            }
            lines.clear();
        }
        events
    }

    fn parse(stream: &[u8], step: usize) -> Vec<SseEvent> {
        let mut parser = SseParser::default();
        for piece in stream.chunks(step) {
            parser.push(piece).unwrap();
        }
        std::iter::from_fn(|| parser.next()).collect()
    }

    #[track_caller]
    fn check(stream: &str, expected: &[(&str, &str)]) {
        let expected: Vec<_> = expected
            .iter()
            .map(|(name, data)| SseEvent {
                name: (*name).to_owned(),
                data: (*data).to_owned(),
            })
            .collect();
        for step in [1, 2, 3, 1000] {
            assert_eq!(
                parse(stream.as_bytes(), step),
                expected,
                "{stream:?} by {step}"
            );
        }
        assert_eq!(reference(stream), expected, "{stream:?}");
    }

    #[test]
    fn streams_as_the_standard_has_them() {
        check("data: a\n\n", &[("", "a")]);
        check("event: row\ndata:{}\n\n", &[("row", "{}")]);
        check("data\n\ndata\ndata\n\ndata:", &[("", ""), ("", "\n")]);
        check(
            "data:  x\r\n\r\nevent:y\rdata:z\r\r",
            &[("", " x"), ("y", "z")],
        );
        check(": ping\n\nevent: lonely\n\ndata: z\n\n", &[("", "z")]);
        check("\u{feff}data: é\nid: 3\nretry: 1\n\n", &[("", "é")]);
        check("data: cut off\n", &[]);
    }

    #[test]
    fn what_has_no_end_or_no_letters_is_refused() {
        let mut parser = SseParser::default();
        parser.push(b"data: ").unwrap();
        let long = vec![b'x'; SseParser::EVENT_BYTES_MAX];
        assert_eq!(parser.push(&long), Err(StreamError::TooLong));
        let mut parser = SseParser::default();
        let line = [&b"data:"[..], &[b'x'; 1000], b"\n"].concat();
        assert_eq!(
            (0..2000).try_for_each(|_| parser.push(&line)),
            Err(StreamError::TooLong)
        );
        assert_eq!(
            SseParser::default().push(b"data:\xff\n"),
            Err(StreamError::NotText)
        );
    }

    proptest! {
        #[test]
        fn agrees_with_the_reference(
            words in prop::collection::vec(
                prop::sample::select(vec![
                    "data", "event", ":", " ", "\n", "\r", "\r\n", "\n\n", "x", "é", "\u{feff}", "id",
                ]),
                0..60,
            ),
            step in 1usize..8,
        ) {
            let stream = words.concat();
            prop_assert_eq!(parse(stream.as_bytes(), step), reference(&stream));
        }

        #[test]
        fn fuzz_smoke(input in prop::collection::vec(any::<u8>(), 0..300)) {
            fuzz_sse(&input);
        }
    }
}
