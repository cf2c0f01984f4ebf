//! Browsers that were let in: a link with a code that works once is exchanged
//! for a cookie.
//!
//! The code is in the part of the link behind `#`, which a browser sends to
//! nobody and keeps out of `Referer`; the page behind the link posts it. So no
//! `GET` changes anything, and what opens links to preview them uses none up.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::token::Token;

/// How long a code can be exchanged.
// Guess: a user reads the terminal within the hour.
pub(super) const CODE_LIFE: Duration = Duration::from_secs(3600);
/// Most codes that wait; a new one takes the place of the oldest.
const CODES_MAX: usize = 8;
/// Most browsers that are let in; a new one takes the place of the oldest.
// Guess: a household's.
const BROWSERS_MAX: usize = 32;
/// How long a browser keeps the cookie; the server forgets it earlier, when the
/// peer stops.
const COOKIE_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);

/// Codes and cookies, both 256 random bits.
#[derive(Debug)]
pub(super) struct Sessions {
    /// Where the page is.
    address: SocketAddr,
    /// Browsers do not tell ports apart when they send cookies; the name does.
    cookie: String,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    codes: VecDeque<(Token, Instant)>,
    browsers: VecDeque<Token>,
}

impl Sessions {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            cookie: format!("gannet-{}", address.port()),
            known: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().expect("no panic holds this lock")
    }

    /// A link that lets one browser in.
    pub(super) fn link(&self, now: Instant) -> Result<String, getrandom::Error> {
        let code = Token::random()?;
        let link = format!("http://{}/open#{}", self.address, code.text());
        let mut known = self.lock();
        known.codes.truncate(CODES_MAX - 1);
        known.codes.push_front((code, now));
        Ok(link)
    }

    /// Exchanges a code for what goes into `Set-Cookie`; `None` if it is wrong,
    /// old or used.
    pub(super) fn exchange(
        &self,
        code: &str,
        now: Instant,
    ) -> Result<Option<String>, getrandom::Error> {
        let mut known = self.lock();
        let is_fresh = |since: Instant| now.saturating_duration_since(since) < CODE_LIFE;
        known.codes.retain(|&(_, since)| is_fresh(since));
        let before = known.codes.len();
        known.codes.retain(|(one, _)| !one.matches(code.as_bytes()));
        if known.codes.len() == before {
            return Ok(None);
        }
        let browser = Token::random()?;
        let cookie = self.cookie(browser.text(), COOKIE_LIFE);
        known.browsers.truncate(BROWSERS_MAX - 1);
        known.browsers.push_front(browser);
        Ok(Some(cookie))
    }

    /// Whether a `Cookie` header shows a browser that was let in.
    pub(super) fn admits(&self, cookies: &[u8]) -> bool {
        let known = self.lock();
        self.values(cookies)
            .any(|value| known.browsers.iter().any(|one| one.matches(value)))
    }

    /// Forgets the browser of a `Cookie` header, and says what makes it forget
    /// its cookie.
    pub(super) fn end(&self, cookies: &[u8]) -> String {
        let mut known = self.lock();
        for value in self.values(cookies) {
            known.browsers.retain(|one| !one.matches(value));
        }
        self.cookie("", Duration::ZERO)
    }

    fn values<'a>(&'a self, cookies: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        cookies.split(|&byte| byte == b';').filter_map(|pair| {
            let rest = pair.trim_ascii().strip_prefix(self.cookie.as_bytes())?;
            rest.strip_prefix(b"=")
        })
    }

    fn cookie(&self, value: &str, life: Duration) -> String {
        format!(
            "{}={value}; HttpOnly; SameSite=Strict; Path=/; Max-Age={}",
            self.cookie,
            life.as_secs()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(link: &str) -> &str {
        link.split_once('#').unwrap().1
    }

    /// What a browser would send after such a `Set-Cookie`.
    fn sent(cookie: &str) -> String {
        format!("other=1; {}", cookie.split_once(';').unwrap().0)
    }

    #[test]
    fn a_code_works_once_and_not_for_ever() {
        let now = Instant::now();
        let sessions = Sessions::new(([127, 0, 0, 1], 7).into());
        let link = sessions.link(now).unwrap();
        assert!(link.starts_with("http://127.0.0.1:7/open#"), "{link}");
        assert_eq!(sessions.exchange("", now).unwrap(), None);
        assert_eq!(sessions.exchange(&code(&link)[1..], now).unwrap(), None);
        let cookie = sessions.exchange(code(&link), now).unwrap().unwrap();
        assert!(cookie.contains("; HttpOnly; SameSite=Strict"), "{cookie}");
        assert!(!cookie.contains(code(&link)), "the code is no cookie");
        assert_eq!(sessions.exchange(code(&link), now).unwrap(), None);
        let late = sessions.link(now).unwrap();
        assert_eq!(
            sessions.exchange(code(&late), now + CODE_LIFE).unwrap(),
            None
        );
    }

    #[test]
    fn a_browser_is_known_until_it_leaves() {
        let now = Instant::now();
        let sessions = Sessions::new(([127, 0, 0, 1], 7).into());
        let enter = || {
            let link = sessions.link(now).unwrap();
            sent(&sessions.exchange(code(&link), now).unwrap().unwrap())
        };
        let (first, second) = (enter(), enter());
        assert!(sessions.admits(first.as_bytes()) && sessions.admits(second.as_bytes()));
        let other_port = first.replace("gannet-7=", "gannet-8=");
        for wrong in [
            other_port.as_str(),
            "",
            "gannet-7=",
            "gannet-7",
            "gannet-7=0",
        ] {
            assert!(!sessions.admits(wrong.as_bytes()), "{wrong}");
        }
        assert!(sessions.end(first.as_bytes()).contains("gannet-7=; "));
        assert!(!sessions.admits(first.as_bytes()));
        assert!(sessions.admits(second.as_bytes()));
        for _ in 0..BROWSERS_MAX {
            enter();
        }
        assert!(!sessions.admits(second.as_bytes()), "the oldest makes room");
    }

    #[test]
    fn only_the_latest_codes_wait() {
        let now = Instant::now();
        let sessions = Sessions::new(([127, 0, 0, 1], 7).into());
        let links = [(); CODES_MAX + 1].map(|()| sessions.link(now).unwrap());
        assert_eq!(sessions.exchange(code(&links[0]), now).unwrap(), None);
        assert!(sessions.exchange(code(&links[1]), now).unwrap().is_some());
    }
}
