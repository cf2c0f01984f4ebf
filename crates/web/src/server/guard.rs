//! Who may ask: the checks that every request passes before a route sees it.
//!
//! A page in the user's browser can send requests to loopback (cross-site
//! request forgery) and can have its own name resolve to loopback (DNS
//! rebinding). The first is stopped by the token, which a browser does not send
//! by itself, and by `Origin` and `Sec-Fetch-Site`; the second by `Host`.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use hyper::header::{self, HeaderMap, HeaderName};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};

use super::Limits;
use super::problem::Refusal;
use super::routes;
use super::sessions::Sessions;
use crate::token::Token;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether a connection has shown the token: if not, it makes room for others.
#[derive(Debug, Default)]
pub(super) struct Trusted(AtomicBool);

impl Trusted {
    pub(super) fn is(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The checks.
#[derive(Debug)]
pub(super) struct Guard {
    /// What `Host` may be: name and port, exactly as written.
    authorities: Vec<String>,
    token: Token,
    /// Opens [`routes::METRICS`] and nothing else.
    metrics_token: Token,
    sessions: Arc<Sessions>,
    failures: Mutex<Failures>,
    body_bytes_max: u64,
}

/// Who may do what.
#[derive(Debug)]
pub(super) struct Keys {
    pub(super) token: Token,
    pub(super) metrics_token: Token,
    pub(super) sessions: Arc<Sessions>,
}

impl Guard {
    pub(super) fn new(address: SocketAddr, hosts: &[String], keys: Keys, limits: &Limits) -> Self {
        let port = address.port();
        let mut authorities: Vec<_> = ["127.0.0.1", "localhost", "[::1]"]
            .into_iter()
            .map(str::to_owned)
            .chain(hosts.iter().cloned())
            .map(|host| format!("{host}:{port}"))
            .collect();
        if !address.ip().is_unspecified() {
            authorities.push(address.to_string());
        }
        Self {
            authorities,
            token: keys.token,
            metrics_token: keys.metrics_token,
            sessions: keys.sessions,
            failures: Mutex::new(Failures::new(limits.failures_per_minute)),
            body_bytes_max: u64::try_from(limits.body_bytes_max).unwrap_or(u64::MAX),
        }
    }

    /// Lets a request through or says why not. `trusted` is set when the token
    /// was right.
    pub(super) fn check(&self, request: &Parts, trusted: &Trusted) -> Result<(), Refusal> {
        self.check_host(request)?;
        self.check_site(&request.headers)?;
        if needs_token(request) {
            self.check_token(request)?;
            trusted.set();
        }
        self.check_body(request)
    }

    fn check_host(&self, request: &Parts) -> Result<(), Refusal> {
        let Some(host) = only(&request.headers, &header::HOST)? else {
            return Err(bad_request("there is no Host header"));
        };
        let in_target = request.uri.authority();
        let known = |name: &[u8]| self.authorities.iter().any(|one| one.as_bytes() == name);
        if known(host) && in_target.is_none_or(|name| known(name.as_str().as_bytes())) {
            return Ok(());
        }
        let detail = "this API answers only under 127.0.0.1, localhost and [::1] with its port";
        Err(Refusal::new(StatusCode::MISDIRECTED_REQUEST, "host", detail).closing())
    }

    fn check_site(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let foreign = |what: &str| {
            let detail = format!("requests from other sites are refused ({what})");
            Err(Refusal::new(StatusCode::FORBIDDEN, "cross-site", detail).closing())
        };
        if let Some(site) = only(headers, &SEC_FETCH_SITE)?
            && site != b"same-origin"
            && site != b"none"
        {
            return foreign("Sec-Fetch-Site");
        }
        if let Some(origin) = only(headers, &header::ORIGIN)?
            && !self.is_own(origin)
        {
            return foreign("Origin");
        }
        Ok(())
    }

    fn is_own(&self, origin: &[u8]) -> bool {
        origin
            .strip_prefix(b"http://")
            .is_some_and(|name| self.authorities.iter().any(|one| one.as_bytes() == name))
    }

    fn check_token(&self, request: &Parts) -> Result<(), Refusal> {
        let headers = &request.headers;
        let presented = only(headers, &header::AUTHORIZATION)?;
        if presented.is_none() && self.is_admitted(request)? {
            return Ok(());
        }
        let token = presented.and_then(|value| {
            let (scheme, token) = value.split_at_checked(b"bearer ".len())?;
            scheme.eq_ignore_ascii_case(b"bearer ").then_some(token)
        });
        let for_metrics = request.uri.path() == routes::METRICS;
        let is_right =
            |token| self.token.matches(token) || (for_metrics && self.metrics_token.matches(token));
        if token.is_some_and(is_right) {
            return Ok(());
        }
        if presented.is_some() {
            self.count_failure()?;
        }
        let detail = "the token of this peer is missing or wrong; it is in api.json in the data \
                      directory";
        Err(Refusal::new(StatusCode::UNAUTHORIZED, "token", detail).closing())
    }

    /// Whether it comes from a browser that was let in. What a browser does by
    /// itself must say that it comes from the peer's own page: other programs on
    /// this machine serve pages that browsers count as the same site.
    fn is_admitted(&self, request: &Parts) -> Result<bool, Refusal> {
        let headers = &request.headers;
        let cookies = only(headers, &header::COOKIE)?;
        if !cookies.is_some_and(|cookies| self.sessions.admits(cookies)) {
            return Ok(false);
        }
        let is_from_page = only(headers, &header::ORIGIN)?.is_some()
            || only(headers, &SEC_FETCH_SITE)? == Some(b"same-origin");
        if !is_from_page && !matches!(request.method, Method::GET | Method::HEAD) {
            let detail = "a browser must say that a change comes from the peer's own page";
            return Err(Refusal::new(StatusCode::FORBIDDEN, "cross-site", detail).closing());
        }
        Ok(true)
    }

    /// Counts a wrong token or code; refuses if it was one too many.
    pub(super) fn count_failure(&self) -> Result<(), Refusal> {
        let mut failures = self.failures.lock().expect("no panic holds this lock");
        if failures.count(Instant::now()) {
            return Ok(());
        }
        let detail = "too many wrong tokens; wait a minute";
        let status = StatusCode::TOO_MANY_REQUESTS;
        Err(Refusal::new(status, "too-many-failures", detail).closing())
    }

    fn check_body(&self, request: &Parts) -> Result<(), Refusal> {
        let headers = &request.headers;
        // Who sends a body in pieces of unknown length is no caller of this API,
        // and no doubt about where a request ends can arise.
        if headers.contains_key(header::TRANSFER_ENCODING) {
            return Err(bad_request(
                "send a Content-Length, not a Transfer-Encoding",
            ));
        }
        let length = only(headers, &header::CONTENT_LENGTH)?.map_or(Some(0), |value| {
            std::str::from_utf8(value).ok()?.parse().ok()
        });
        let Some(length) = length else {
            return Err(bad_request("the Content-Length is no number"));
        };
        if length > self.body_bytes_max {
            return Err(too_large(self.body_bytes_max));
        }
        if length > 0 && matches!(request.method, Method::GET | Method::HEAD) {
            return Err(bad_request("a GET has no body"));
        }
        let media_type = only(headers, &header::CONTENT_TYPE)?;
        if media_type.is_some_and(|value| !is_json(value)) || (length > 0 && media_type.is_none()) {
            let detail = "bodies are application/json";
            return Err(
                Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", detail).closing(),
            );
        }
        Ok(())
    }
}

/// Whether the token is needed: for all that is not listed, so that what is not
/// there cannot be told from what is.
fn needs_token(request: &Parts) -> bool {
    let method = match request.method {
        Method::HEAD => &Method::GET,
        ref other => other,
    };
    let path = request.uri.path();
    let prefix = routes::ASSETS.trim_end_matches("{name}");
    let is_asset = |name: &str| !name.is_empty() && !name.contains('/');
    let path = match path.strip_prefix(prefix) {
        Some(name) if is_asset(name) => routes::ASSETS,
        _ => path,
    };
    !routes::PUBLIC.contains(&(method.as_str(), path))
}

fn is_json(value: &[u8]) -> bool {
    let essence = value.split(|&byte| byte == b';').next().unwrap_or_default();
    essence
        .trim_ascii()
        .eq_ignore_ascii_case(b"application/json")
}

/// A header that may be there once; `None` if it is not.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a [u8]>, Refusal> {
    let mut values = headers.get_all(name).iter();
    let first = values.next().map(header::HeaderValue::as_bytes);
    if values.next().is_some() {
        return Err(bad_request(&format!(
            "there is more than one {name} header"
        )));
    }
    Ok(first)
}

fn bad_request(detail: &str) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, "request", detail).closing()
}

/// The body is longer than allowed.
pub(super) fn too_large(bytes_max: u64) -> Refusal {
    let detail = format!("a body has at most {bytes_max} bytes");
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", detail).closing()
}

/// Whether an address may be listened on without being asked for by name.
pub(super) fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

/// Wrong tokens in this minute.
#[derive(Debug)]
struct Failures {
    per_minute: u32,
    counted: u32,
    since: Option<Instant>,
}

impl Failures {
    fn new(per_minute: u32) -> Self {
        Self {
            per_minute,
            counted: 0,
            since: None,
        }
    }

    /// Counts one; `false` if it was one too many.
    fn count(&mut self, now: Instant) -> bool {
        let fresh = self
            .since
            .is_some_and(|since| now.saturating_duration_since(since).as_secs() < 60);
        if !fresh {
            (self.since, self.counted) = (Some(now), 0);
        }
        self.counted = self.counted.saturating_add(1);
        self.counted <= self.per_minute
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn wrong_tokens_are_counted_by_the_minute() {
        let start = Instant::now();
        let mut failures = Failures::new(2);
        let answers = |failures: &mut Failures, now| [(); 3].map(|()| failures.count(now));
        assert_eq!(answers(&mut failures, start), [true, true, false]);
        let soon = start + Duration::from_secs(59);
        assert_eq!(answers(&mut failures, soon), [false; 3]);
        let later = start + Duration::from_secs(60);
        assert_eq!(answers(&mut failures, later), [true, true, false]);
    }
}
