//! How a command ends: its exit code, and what is said when it fails.

use std::fmt;
use std::process::ExitCode;

use gannet_base::Escaped;
use gannet_node::{
    BrowseError, ConfigError, DownloadError, LinkError, SearchError, ShareError, StartError,
    Stopped,
};

use crate::output::{BAD, DIM};

/// The exit codes, as `--help` tells them.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed; the message says why
  2  wrong usage: a flag, a query, a link or the configuration
  3  no peer is running on the data directory
  4  nothing found: everybody who was asked answered, nobody has it
  5  not complete: timed out, interrupted, or nobody could be asked; running the
     same command again goes on where it stopped";

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Done,
    Failed,
    Usage,
    NoPeer,
    NothingFound,
    Incomplete,
}

impl Exit {
    /// The number that the shell sees.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NoPeer => 3,
            Self::NothingFound => 4,
            Self::Incomplete => 5,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a command did not do what it was asked, and what to do next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The exit code.
    pub(crate) exit: Exit,
    /// What is wrong. May hold texts from strangers; escaped when shown.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) next: Option<String>,
}

/// What every command returns.
pub(crate) type Outcome = Result<Exit, Failure>;

impl Failure {
    /// A failure with this message.
    pub(crate) fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Self {
            exit,
            message: message.to_string(),
            next: None,
        }
    }

    /// It failed, exit code 1.
    pub(crate) fn failed(message: impl fmt::Display) -> Self {
        Self::new(Exit::Failed, message)
    }

    /// The user asked wrongly, exit code 2.
    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// The same with a remedy.
    #[must_use]
    pub(crate) fn next(mut self, next: impl fmt::Display) -> Self {
        self.next = Some(next.to_string());
        self
    }
}

/// The failure as the terminal shows it, every line escaped.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{BAD}gannet:{BAD:#} ")?;
        for (n, line) in self.message.trim_end().lines().enumerate() {
            let start = if n == 0 { "" } else { "\n  " };
            write!(f, "{start}{}", Escaped(line))?;
        }
        if let Some(next) = &self.next {
            write!(f, "\n{DIM}  →{DIM:#} {}", Escaped(next))?;
        }
        Ok(())
    }
}

/// Writing to the terminal failed. A reader that has seen enough
/// (`gannet … | head`) is no failure; [`crate::run`] knows it by its empty
/// message.
impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            Self::new(Exit::Done, "")
        } else {
            Self::failed(format_args!("cannot write: {error}"))
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::usage(error)
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        Self::failed(error)
    }
}

impl From<Stopped> for Failure {
    fn from(error: Stopped) -> Self {
        Self::new(Exit::NoPeer, error)
    }
}

impl From<SearchError> for Failure {
    fn from(error: SearchError) -> Self {
        match error {
            SearchError::Query(text) => Self::usage(text),
            SearchError::Stopped(stopped) => stopped.into(),
            busy @ SearchError::TooMany { .. } => Self::failed(busy),
        }
    }
}

impl From<DownloadError> for Failure {
    fn from(error: DownloadError) -> Self {
        match error {
            DownloadError::Stopped(stopped) => stopped.into(),
            link @ DownloadError::Link(_) => Self::usage(link),
            other => Self::failed(other),
        }
    }
}

macro_rules! plainly_failed {
    ($($error:ident),*) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                match error {
                    $error::Stopped(stopped) => stopped.into(),
                    other => Self::failed(other),
                }
            }
        }
    )*};
}
plainly_failed!(BrowseError, LinkError, ShareError);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_documented() {
        for exit in [
            Exit::Done,
            Exit::Failed,
            Exit::Usage,
            Exit::NoPeer,
            Exit::NothingFound,
            Exit::Incomplete,
        ] {
            assert!(
                EXIT_CODES.contains(&format!("\n  {}  ", exit.code())),
                "{exit:?}"
            );
        }
    }

    #[test]
    fn a_failure_says_what_to_do_and_cannot_steer_the_terminal() {
        let failure = Failure::failed("first \u{1b}[2J\nsecond \u{202e}").next("do this");
        let shown = anstream::adapter::strip_str(&failure.to_string()).to_string();
        assert_eq!(
            shown,
            "gannet: first \\u{1b}[2J\n  second \\u{202e}\n  → do this"
        );
    }

    #[test]
    fn errors_of_the_node_have_their_codes() {
        let cases: [(Failure, Exit); 4] = [
            (Stopped.into(), Exit::NoPeer),
            (SearchError::Query("no word".to_owned()).into(), Exit::Usage),
            (
                DownloadError::UnknownDownload { number: 3 }.into(),
                Exit::Failed,
            ),
            (
                std::io::Error::from(std::io::ErrorKind::BrokenPipe).into(),
                Exit::Done,
            ),
        ];
        for (failure, exit) in cases {
            assert_eq!(failure.exit, exit, "{failure}");
        }
    }
}
