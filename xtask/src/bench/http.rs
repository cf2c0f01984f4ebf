//! Just enough HTTP to ask a peer's API on loopback.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;

/// Longest time that an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// One API and the right to use it.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    pub(crate) address: SocketAddr,
    pub(crate) token: String,
}

impl Api {
    /// Reads a resource.
    pub(crate) fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.ask("GET", path, "")
    }

    /// Reads the first page of a list.
    pub(crate) fn list(&self, path: &str) -> anyhow::Result<Vec<Value>> {
        match self.get(path)?["items"].take() {
            Value::Array(items) => Ok(items),
            other => bail!("GET {path}: the answer has no items but {other}"),
        }
    }

    /// Posts a document and reads the answer.
    pub(crate) fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.ask("POST", path, &body.to_string())
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> anyhow::Result<Value> {
        let request = format!(
            "{method} /api/v1{path} HTTP/1.0\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            self.token,
            body.len()
        );
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        parse(&answer).with_context(|| format!("{method} {path}"))
    }
}

fn parse(answer: &str) -> anyhow::Result<Value> {
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .context("the answer is no HTTP")?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    if !status.starts_with('2') {
        bail!("status {status}: {body}");
    }
    if body.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(body).with_context(|| format!("the answer is no JSON: {body}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_values_or_errors() {
        let good = parse("HTTP/1.0 200 OK\r\nA: b\r\n\r\n{\"a\":1}").unwrap();
        assert_eq!(good["a"], 1);
        assert_eq!(
            parse("HTTP/1.0 204 No Content\r\n\r\n").unwrap(),
            Value::Null
        );
        let bad = parse("HTTP/1.0 404 Not Found\r\n\r\n{\"title\":\"x\"}").unwrap_err();
        assert!(bad.to_string().contains("404"), "{bad}");
        assert!(parse("nonsense").is_err());
    }
}
