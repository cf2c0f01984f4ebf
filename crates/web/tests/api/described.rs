//! The API against its own description: every route, from the description that
//! a test inside holds against the router.

use std::collections::BTreeSet;

use gannet_node::api::SearchUpdate;
use gannet_web::{Limits, openapi_json};
use serde_json::Value;
use tokio::time::timeout;

use crate::fake::{DEADLINE, Fake};
use crate::http::{Reply, bare, honest};
use crate::samples::{content, end, peer_id, row};

fn document() -> Value {
    serde_json::from_str(openapi_json()).unwrap()
}

/// A peer of whom nothing is to be held.
const REFUSAL: &str = concat!(
    r#"{"what":"keeper","keeper":""#,
    "0707070707070707070707070707070707070707070707070707070707070707",
    r#""}"#
);

/// Methods and paths of all operations, parameters in place.
fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            all.push((method.to_uppercase(), path.clone(), operation.clone()));
        }
    }
    assert!(all.len() > 25, "{}", all.len());
    all
}

/// A path with values that the fake peer knows, and a body if there is one.
fn filled(method: &str, path: &str) -> (String, &'static str) {
    let mut line = path.replace("{id}", "1").replace("{number}", "1");
    line = line
        .replace("{name}", "app.js")
        .replace("{content}", &content().to_string());
    if path.ends_with("/browse") {
        line += &format!("?peer={}", peer_id());
    }
    if (method, path) == ("DELETE", "/api/v1/shares") {
        line += "?path=/a";
    }
    if method == "DELETE" && (path.ends_with("/kept") || path.ends_with("/refused")) {
        line += &format!("?content={}", content());
    }
    let body = match (method, path) {
        ("POST", "/api/v1/searches") => r#"{"query":"x"}"#,
        ("POST", "/api/v1/downloads") => r#"{"from":"link","link":"l"}"#,
        ("POST", "/api/v1/shares" | "/api/v1/links") => r#"{"path":"/a"}"#,
        ("POST", "/api/v1/settings") => "{}",
        ("POST", "/api/v1/downloads/{number}/priority") => r#"{"priority":1}"#,
        ("POST", "/api/v1/session") => r#"{"code":"0"}"#,
        ("POST", "/api/v1/kept") => r#"{"file":{"from":"path","path":"/a"}}"#,
        ("POST", "/api/v1/held/refused") => REFUSAL,
        _ => "",
    };
    (format!("{method} {line}"), body)
}

/// A peer with a search that is over, so that its stream ends.
async fn served() -> (Fake, gannet_web::ApiServer) {
    let fake = Fake::new();
    let server = fake.serve(Limits::default()).await;
    let client = fake.client().await;
    let mut stream = client.search_stream("x", 5).await.unwrap();
    fake.update(1, SearchUpdate::Row(row(1, "name"))).await;
    fake.update(1, SearchUpdate::End(end())).await;
    while timeout(DEADLINE, stream.next())
        .await
        .unwrap()
        .unwrap()
        .is_some()
    {}
    (fake, server)
}

fn is_endless(path: &str) -> bool {
    path.ends_with("/events") && !path.contains("searches")
}

#[track_caller]
fn check_headers(what: &str, reply: &Reply) {
    for header in [
        "x-content-type-options: nosniff",
        "cache-control: no-store",
        "x-frame-options: DENY",
        "referrer-policy: no-referrer",
        "cross-origin-resource-policy: same-origin",
        "cross-origin-opener-policy: same-origin",
        "content-security-policy: default-src 'none'; ",
    ] {
        assert!(reply.head.contains(header), "{what}: {header}: {reply:?}");
    }
    let policy = reply
        .head
        .split("content-security-policy: ")
        .nth(1)
        .unwrap();
    let policy = policy.lines().next().unwrap();
    assert!(
        policy.contains("frame-ancestors 'none'"),
        "{what}: {policy}"
    );
    assert!(
        policy.contains("base-uri 'none'; form-action 'none'"),
        "{what}: {policy}"
    );
    for loose in ["unsafe", "*", "data:", "http"] {
        assert!(!policy.contains(loose), "{what}: {policy}");
    }
    assert!(!reply.head.contains("access-control-"), "{what}: {reply:?}");
}

#[tokio::test]
async fn every_answer_of_every_route_has_the_headers_that_tame_browsers() {
    let (_fake, server) = served().await;
    let host = ("Host", server.address().to_string());
    let site = ("Sec-Fetch-Site", "cross-site".to_owned());
    let evil = ("Host", "evil.example".to_owned());
    let mut refused = 0;
    for (method, path, operation) in operations(&document()) {
        let (line, body) = filled(&method, &path);
        let is_public = operation["security"] == serde_json::json!([{}]);
        for headers in [
            &[evil.clone()][..],
            &[host.clone(), site.clone()],
            std::slice::from_ref(&host),
        ] {
            let reply = bare(&server, &line, headers, "").await;
            check_headers(&line, &reply);
            let may = is_public && headers.len() == 1 && headers[0] == host;
            assert!(
                may || (400..430).contains(&reply.status),
                "{line}: {reply:?}"
            );
            refused += u32::from(reply.status >= 400);
        }
        if !is_endless(&path) && path != "/api/v1/shutdown" {
            check_headers(&line, &honest(&server, &line, body).await);
        }
        let other = honest(&server, &line.replace(&method, "PUT"), "").await;
        assert_eq!(other.status, 405, "{line}");
        check_headers(&line, &other);
    }
    assert!(refused > 75, "{refused}");
    for line in ["GET /nothing", "GET /api/v1/status/"] {
        check_headers(line, &honest(&server, line, "").await);
        check_headers(
            line,
            &bare(&server, line, std::slice::from_ref(&host), "").await,
        );
    }
}

/// What of the peer each route calls must be nothing that changes it, if the
/// method is one that browsers send by themselves.
#[tokio::test]
async fn no_get_changes_anything() {
    let (fake, server) = served().await;
    let mut asked = 0;
    for (method, path, _) in operations(&document()) {
        if method != "GET" || is_endless(&path) {
            continue;
        }
        for method in ["GET", "HEAD"] {
            let line = filled("GET", &path).0.replace("GET", method);
            fake.calls();
            let reply = honest(&server, &line, "").await;
            assert_eq!(reply.status, 200, "{line}: {reply:?}");
            assert!(!reply.head.contains("set-cookie"), "{line}");
            for call in fake.calls() {
                let verb = call.split(' ').next().unwrap();
                let reads = [
                    "status",
                    "search_state",
                    "downloads",
                    "uploads",
                    "peers",
                    "browse",
                    "shares",
                    "kept",
                    "held",
                    "refused",
                    "settings",
                    "shared_files",
                    "ring_map",
                    "view",
                ];
                assert!(reads.contains(&verb), "{line}: {call}");
            }
            asked += 1;
        }
    }
    assert!(asked > 30, "{asked}");
}

/// Whether `value` is what `schema` says, and nothing else.
fn check_schema(document: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    if let Some(to) = schema["$ref"].as_str() {
        let schema = document.pointer(&to[1..]).unwrap();
        return check_schema(document, schema, value, at);
    }
    for (several, all) in [("oneOf", false), ("anyOf", false), ("allOf", true)] {
        if let Some(parts) = schema[several].as_array() {
            let mut results = parts
                .iter()
                .map(|part| check_schema(document, part, value, at));
            if all {
                // Each part knows only some of the fields.
                return Ok(());
            }
            let results: Vec<_> = results.by_ref().collect();
            if results.iter().any(Result::is_ok) {
                return Ok(());
            }
            return Err(format!("{at}: none of {several}: {results:?}"));
        }
    }
    let types: Vec<_> = match &schema["type"] {
        Value::String(one) => vec![one.as_str()],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        // Any value at all.
        _ => return Ok(()),
    };
    let is = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_u64() || number.is_i64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    if !types.contains(&is) {
        return Err(format!("{at}: {is} is none of {types:?}"));
    }
    if let Some(allowed) = schema["enum"].as_array()
        && !allowed.contains(value)
    {
        return Err(format!("{at}: {value} is none of {allowed:?}"));
    }
    if let Value::Array(items) = value {
        for (n, item) in items.iter().enumerate() {
            check_schema(document, &schema["items"], item, &format!("{at}/{n}"))?;
        }
    }
    if let Value::Object(fields) = value {
        let required = schema["required"].as_array().into_iter().flatten();
        for name in required.filter_map(Value::as_str) {
            if !fields.contains_key(name) {
                return Err(format!("{at}: {name} is missing"));
            }
        }
        for (name, field) in fields {
            let Some(schema) = schema["properties"].get(name) else {
                return Err(format!("{at}: {name} is not described"));
            };
            check_schema(document, schema, field, &format!("{at}/{name}"))?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn every_answer_is_what_its_description_says() {
    let (_fake, server) = served().await;
    let document = document();
    let mut seen = BTreeSet::new();
    for (method, path, operation) in operations(&document) {
        let (line, body) = filled(&method, &path);
        if is_endless(&path) || path == "/api/v1/shutdown" {
            continue;
        }
        let reply = honest(&server, &line, body).await;
        let responses = &operation["responses"];
        let said = &responses[reply.status.to_string()];
        let said = if said.is_null() {
            &responses["default"]
        } else {
            said
        };
        let is_refusal = (method.as_str(), path.as_str()) == ("POST", "/api/v1/session");
        assert_eq!(reply.status >= 400, is_refusal, "{line}: {reply:?}");
        let Some(content) = said["content"].as_object() else {
            assert_eq!(reply.body, "", "{line}");
            continue;
        };
        let head = reply.head.split("content-type: ").nth(1).unwrap();
        let media_type = head.lines().next().unwrap().split(';').next().unwrap();
        let schema = &content[media_type]["schema"];
        assert!(!schema.is_null(), "{line}: {media_type} is not described");
        if media_type.ends_with("json") {
            let value: Value = serde_json::from_str(&reply.body).unwrap();
            check_schema(&document, schema, &value, &line).unwrap();
            seen.insert(path);
        }
    }
    assert!(seen.len() > 15, "{seen:?}");
}

#[test]
fn the_check_against_the_description_finds_faults() {
    let document = document();
    let schema = serde_json::json!({ "$ref": "#/components/schemas/Problem" });
    let right = serde_json::json!({ "type": "t", "title": "t", "status": 400, "detail": "d" });
    let check = |value: &Value| check_schema(&document, &schema, value, "");
    assert_eq!(check(&right), Ok(()));
    for (name, value) in [
        ("status", Value::from("400")),
        ("more", Value::Null),
        ("title", Value::Null),
    ] {
        let mut wrong = right.clone();
        wrong[name] = value;
        assert!(check(&wrong).is_err(), "{name}");
    }
    let mut short = right;
    short.as_object_mut().unwrap().remove("detail");
    assert!(check(&short).is_err());
}
