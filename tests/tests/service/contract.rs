//! Holds exchanges to `docs/openapi.json`.

use crate::wire::{Answer, content_type};
use bytes::Bytes;
use cipherfn_function_specs::OPENAPI;
use cipherfn_protocol::api::{JSON, PROBLEM};
use http::Request;
use jsonschema::Validator;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// The document, its schemas ready for use.
pub(crate) static CONTRACT: LazyLock<Contract> =
    LazyLock::new(|| Contract::new(&serde_json::from_str(OPENAPI).expect("JSON")));

pub(crate) struct Contract {
    operations: Vec<Operation>,
}

struct Operation {
    method: String,
    path: String,
    request: BTreeMap<String, Validator>,
    responses: BTreeMap<u16, Response>,
}

struct Response {
    description: String,
    content: BTreeMap<String, Validator>,
    headers: Vec<String>,
}

impl Contract {
    fn new(document: &Value) -> Self {
        let components = &document["components"];
        let mut operations = Vec::new();
        for (path, item) in entries(&document["paths"]) {
            for (method, operation) in entries(item) {
                let responses = entries(&operation["responses"]).map(|(status, response)| {
                    let required = entries(&response["headers"])
                        .filter(|(_, header)| header["required"] == true);
                    let response = Response {
                        description: response["description"]
                            .as_str()
                            .unwrap_or_default()
                            .to_owned(),
                        content: content(&response["content"], components),
                        headers: required.map(|(name, _)| name.clone()).collect(),
                    };
                    (status.parse().expect("a status"), response)
                });
                operations.push(Operation {
                    method: method.to_uppercase(),
                    path: path.clone(),
                    request: content(&operation["requestBody"]["content"], components),
                    responses: responses.collect(),
                });
            }
        }
        Self { operations }
    }

    /// Method and path of every operation.
    pub(crate) fn operations(&self) -> impl Iterator<Item = (&str, &str)> {
        self.operations
            .iter()
            .map(|it| (it.method.as_str(), it.path.as_str()))
    }

    /// What an exchange does that the document does not say.
    pub(crate) fn check(&self, request: &Request<Bytes>, answer: &Answer) -> Result<(), String> {
        // API Gateway's own answers are not the functions': an unknown route, a refused caller, an
        // event that is too large, a process that died. Its documentation has them.
        if is_of_gateway(answer) {
            return Ok(());
        }
        let operation = self
            .operations
            .iter()
            .find(|operation| {
                operation.method == request.method().as_str()
                    && matches(&operation.path, request.uri().path())
            })
            .ok_or("a function answered a route that is not documented")?;
        let response = operation
            .responses
            .get(&answer.status)
            .ok_or_else(|| format!("status {} is not documented", answer.status))?;
        response.check(answer)?;
        operation.check_request(request, answer)
    }
}

impl Response {
    fn check(&self, answer: &Answer) -> Result<(), String> {
        for name in &self.headers {
            if !answer.headers.contains_key(name.as_str()) {
                return Err(format!("the header {name} is missing"));
            }
        }
        if self.content.is_empty() {
            return if answer.body.is_empty() {
                Ok(())
            } else {
                Err(format!(
                    "status {} has no documented content, but a body",
                    answer.status
                ))
            };
        }
        let found = content_type(&answer.headers);
        let schema = self.content.get(found).ok_or_else(|| {
            format!(
                "content type {found:?} is not documented for status {}",
                answer.status
            )
        })?;
        if found.ends_with("json") {
            let body: Value =
                serde_json::from_slice(&answer.body).map_err(|error| error.to_string())?;
            schema
                .validate(&body)
                .map_err(|error| format!("{error} at {}", error.instance_path()))?;
            if found == PROBLEM {
                return self.check_problem(&body, answer);
            }
        }
        Ok(())
    }

    /// A problem's type is one that the status is documented for.
    fn check_problem(&self, body: &Value, answer: &Answer) -> Result<(), String> {
        let kind = body["type"].as_str().unwrap_or_default();
        let slug = kind.rsplit(':').next().unwrap_or_default();
        let documented = self
            .description
            .strip_prefix("Problem: ")
            .unwrap_or_default();
        if !documented.split(", ").any(|known| known == slug) {
            return Err(format!(
                "problem {slug} is not documented for status {}",
                answer.status
            ));
        }
        if body["status"] != answer.status {
            return Err(format!(
                "the problem says status {}, the answer {}",
                body["status"], answer.status
            ));
        }
        if body["request_id"].as_str().is_none_or(str::is_empty) {
            return Err("the problem does not name its request".to_owned());
        }
        Ok(())
    }
}

impl Operation {
    /// What is accepted is documented, and what is not documented is not accepted.
    fn check_request(&self, request: &Request<Bytes>, answer: &Answer) -> Result<(), String> {
        if answer.status >= 400 || self.request.is_empty() {
            return Ok(());
        }
        let found = content_type(request.headers());
        let (_, schema) = self
            .request
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(found))
            .ok_or_else(|| format!("a request of content type {found:?} was accepted"))?;
        if !found.eq_ignore_ascii_case(JSON) {
            return Ok(());
        }
        let body: Value = serde_json::from_slice(request.body())
            .map_err(|error| format!("a request was accepted that is no JSON: {error}"))?;
        schema
            .validate(&body)
            .map_err(|error| format!("a request was accepted that is not as documented: {error}"))
    }
}

/// Schemas by content type.
fn content(value: &Value, components: &Value) -> BTreeMap<String, Validator> {
    let validator = |schema: &Value| {
        // References point into the document.
        let mut schema = schema.clone();
        schema["components"] = components.clone();
        jsonschema::validator_for(&schema).expect("a schema")
    };
    entries(value)
        .map(|(name, media)| (name.clone(), validator(&media["schema"])))
        .collect()
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

fn matches(pattern: &str, path: &str) -> bool {
    let (pattern, path): (Vec<_>, Vec<_>) =
        (pattern.split('/').collect(), path.split('/').collect());
    pattern.len() == path.len()
        && pattern
            .iter()
            .zip(&path)
            .all(|(part, found)| part.starts_with('{') || part == found)
}

/// Whether API Gateway wrote an answer in place of a function.
pub(crate) fn is_of_gateway(answer: &Answer) -> bool {
    let message = serde_json::from_slice::<Value>(&answer.body).unwrap_or_default();
    matches!(answer.status, 400 | 401 | 403 | 404 | 413 | 500 | 503)
        && answer.content_type() == JSON
        && message == json!({ "message": message["message"].as_str() })
}

#[cfg(test)]
mod tests {
    use super::CONTRACT;
    use crate::wire::{Answer, request};
    use bytes::Bytes;
    use cipherfn_protocol::api::{JSON, PROBLEM, QUERY, REPLY};
    use http::{HeaderMap, HeaderValue};

    fn check(
        method: &str,
        path: &str,
        status: u16,
        content_type: &'static str,
        body: &'static str,
    ) -> Result<(), String> {
        let answer = Answer {
            status,
            headers: HeaderMap::from_iter([(
                http::header::CONTENT_TYPE,
                HeaderValue::from_static(content_type),
            )]),
            body: Bytes::from_static(body.as_bytes()),
        };
        CONTRACT.check(
            &request(method, path, &[("content-type", QUERY)], "{}"),
            &answer,
        )
    }

    #[test]
    fn what_is_not_documented_is_noticed() {
        let unknown = r#"{"type":"urn:cipherfn:problem:unknown-model","title":"t","status":404,"detail":"d","request_id":"r"}"#;
        let specs = "/v1/models/tree";
        assert_eq!(check("GET", specs, 404, PROBLEM, unknown), Ok(()));
        assert_eq!(
            check("GET", "/v1/models", 200, JSON, r#"{"models":[]}"#),
            Ok(())
        );
        assert_eq!(
            check("POST", "/v1/models/tree/predict", 200, REPLY, "reply"),
            Ok(())
        );
        assert_eq!(
            check("GET", "/other", 404, JSON, r#"{"message":"Not Found"}"#),
            Ok(()),
            "API Gateway's"
        );
        for (method, path, status, content_type, body) in [
            ("GET", specs, 404, JSON, unknown),
            ("GET", specs, 410, PROBLEM, unknown),
            ("GET", specs, 418, PROBLEM, unknown),
            ("PUT", specs, 404, PROBLEM, unknown),
            ("GET", "/v1/other", 404, PROBLEM, unknown),
            ("GET", "/v1/models", 404, PROBLEM, unknown),
            (
                "GET",
                specs,
                404,
                PROBLEM,
                r#"{"type":"urn:cipherfn:problem:unknown-model","title":"t","status":404,"detail":"d"}"#,
            ),
            (
                "GET",
                specs,
                200,
                "application/vnd.cipherfn.specs+json",
                r#"{"format":1,"model":"m","parameter_set":{}}"#,
            ),
            ("GET", "/v1/models", 200, JSON, r#"{"models":[],"more":1}"#),
            ("GET", "/v1/models", 200, JSON, r#"{"message":"OK"}"#),
            ("POST", "/v1/keys", 201, JSON, r#"{"status":{},"parts":[]}"#),
            (
                "POST",
                "/v1/models/tree/predict",
                200,
                "application/octet-stream",
                "reply",
            ),
            ("DELETE", "/v1/keys/00", 204, JSON, "body"),
        ] {
            assert!(
                check(method, path, status, content_type, body).is_err(),
                "{method} {path} {status} {content_type} {body}"
            );
        }
    }
}
