//! The description of the API.

use std::sync::LazyLock;

use utoipa::OpenApi as _;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Components, Content, OpenApi, Ref, ResponseBuilder};

use super::routes;
use crate::Problem;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Gannet",
        description = "Steers a running peer. The token is in `api.json` in the peer's data \
            directory; browsers get a cookie by a link of `/api/v1/session/link`. Numbers are \
            up to 2^64 - 1. Texts from other peers are just that: text.",
        license(name = "MIT OR Apache-2.0"),
    ),
    components(schemas(Problem)),
    security(("token" = []), ("cookie" = [])),
    tags(
        (name = "peer", description = "The peer itself"),
        (name = "page", description = "The page for people"),
        (name = "session", description = "Letting browsers in"),
        (name = "searches", description = "Finding"),
        (name = "transfers", description = "Fetching and serving"),
        (name = "shares", description = "What the peer shares"),
        (name = "kept", description = "Files that outlive their publishers"),
        (name = "peers", description = "Other peers"),
    )
)]
struct Frame;

/// Everything but the routes.
pub(super) fn frame() -> OpenApi {
    let mut frame = Frame::openapi();
    env!("CARGO_PKG_VERSION").clone_into(&mut frame.info.version);
    let components = frame.components.get_or_insert_with(Components::new);
    let token = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    let cookie = ApiKeyValue::with_description("gannet-PORT", "PORT is the API's own");
    let cookie = SecurityScheme::ApiKey(ApiKey::Cookie(cookie));
    components.add_security_scheme("token", token);
    components.add_security_scheme("cookie", cookie);
    frame
}

/// The operations of a path, with their methods.
fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem {
        get,
        put,
        post,
        delete,
        patch,
        ..
    } = item;
    [get, put, post, delete, patch].into_iter().flatten()
}

fn document() -> OpenApi {
    let mut document = routes::described().into_openapi();
    let problem = Content::new(Some(Ref::from_schema_name("Problem")));
    let refused = ResponseBuilder::new()
        .description("What went wrong and what to do.")
        .content(Problem::MEDIA_TYPE, problem)
        .build();
    for item in document.paths.paths.values_mut() {
        for operation in operations(item) {
            let responses = &mut operation.responses.responses;
            responses.insert("default".to_owned(), refused.clone().into());
        }
    }
    document
}

/// The description of every route in OpenAPI 3.1, as it is served at
/// `/api/v1/openapi.json`.
pub fn openapi_json() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let text = document().to_pretty_json();
        text.expect("a description of strings is JSON")
    });
    &TEXT
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    fn parsed() -> Value {
        serde_json::from_str(openapi_json()).unwrap()
    }

    /// Every operation with method and path.
    fn each(document: &Value) -> Vec<(String, String, &Value)> {
        let paths = document["paths"].as_object().unwrap().iter();
        paths
            .flat_map(|(path, item)| {
                let methods = item.as_object().unwrap().iter();
                methods.map(|(method, operation)| (method.to_uppercase(), path.clone(), operation))
            })
            .collect()
    }

    #[test]
    fn what_needs_no_token_is_what_the_guard_lets_through() {
        let document = parsed();
        let open: BTreeSet<_> = each(&document)
            .into_iter()
            .filter(|(_, _, operation)| operation["security"] == serde_json::json!([{}]))
            .map(|(method, path, _)| (method, path))
            .collect();
        let public = routes::PUBLIC.map(|(method, path)| (method.to_owned(), path.to_owned()));
        assert_eq!(open, public.into());
    }

    #[test]
    fn operations_have_names_words_and_answers() {
        let document = parsed();
        let all = each(&document);
        let names: BTreeSet<_> = all
            .iter()
            .map(|(_, _, operation)| operation["operationId"].as_str().unwrap())
            .collect();
        assert_eq!(names.len(), all.len());
        assert!(all.len() > 25, "{}", all.len());
        for (method, path, operation) in all {
            assert!(operation["summary"].is_string(), "{method} {path}");
            let responses = operation["responses"].as_object().unwrap();
            assert!(responses.contains_key("default"), "{method} {path}");
            assert!(responses.len() > 1, "{method} {path}");
            assert!(["GET", "POST", "DELETE"].contains(&method.as_str()));
            assert!(method != "GET" || operation["requestBody"].is_null());
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = parsed();
        let mut found = 0;
        let mut values = vec![&document];
        while let Some(value) = values.pop() {
            match value {
                Value::Array(items) => values.extend(items),
                Value::Object(fields) => {
                    values.extend(fields.values());
                    if let Some(Value::String(to)) = fields.get("$ref") {
                        let there = document.pointer(to.strip_prefix('#').unwrap());
                        assert!(there.is_some(), "{to}");
                        found += 1;
                    }
                }
                _ => {}
            }
        }
        assert!(found > 50, "{found}");
    }
}
