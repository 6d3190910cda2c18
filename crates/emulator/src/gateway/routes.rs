//! The route table.

use std::collections::BTreeMap;

use http::Method;

use crate::{EmulatorError, Route};

/// Routes, most specific first.
#[derive(Debug)]
pub(crate) struct Table(Vec<RouteEntry>);

#[derive(Debug)]
struct RouteEntry {
    /// `None` for `ANY`.
    method: Option<Method>,
    path: String,
    segments: Vec<Segment>,
    function: String,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Literal(String),
    Parameter(String),
    Rest(String),
}

/// What a request's path was matched with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Match<'a> {
    /// Such as `GET /v1/models/{model}`.
    pub(crate) key: String,
    pub(crate) function: &'a str,
    /// Percent-decoded.
    pub(crate) parameters: BTreeMap<String, String>,
}

impl Table {
    /// Parses the routes; each must name one of `functions`.
    pub(crate) fn new<'a>(
        routes: &[Route],
        functions: impl Fn(&str) -> bool + 'a,
    ) -> Result<Self, EmulatorError> {
        let mut entries: Vec<RouteEntry> = Vec::with_capacity(routes.len());
        for route in routes {
            let fail = |problem: String| EmulatorError::Route {
                method: route.method.to_string(),
                path: route.path.clone(),
                problem,
            };
            let segments = parse(&route.path).map_err(|problem| fail(problem.to_owned()))?;
            if !functions(&route.function) {
                return Err(fail(format!("there is no function {:?}", route.function)));
            }
            let method = (route.method.as_str() != "ANY").then(|| route.method.clone());
            if entries
                .iter()
                .any(|entry| entry.method == method && shape(&entry.segments) == shape(&segments))
            {
                return Err(fail(
                    "another route has the same method and path".to_owned(),
                ));
            }
            entries.push(RouteEntry {
                method,
                path: route.path.clone(),
                segments,
                function: route.function.clone(),
            });
        }
        entries.sort_by_key(|entry| (shape(&entry.segments), entry.method.is_none()));
        Ok(Self(entries))
    }

    /// The most specific route of a request.
    pub(crate) fn find(&self, method: &Method, path: &str) -> Option<Match<'_>> {
        let path: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
        self.0
            .iter()
            .filter(|entry| entry.method.as_ref().is_none_or(|wanted| wanted == method))
            .find_map(|entry| {
                let parameters = entry.parameters(&path)?;
                let method = entry.method.as_ref().map_or("ANY", Method::as_str);
                Some(Match {
                    key: format!("{method} {}", entry.path),
                    function: &entry.function,
                    parameters,
                })
            })
    }
}

impl RouteEntry {
    fn parameters(&self, path: &[&str]) -> Option<BTreeMap<String, String>> {
        let greedy = matches!(self.segments.last(), Some(Segment::Rest(_)));
        if path.len() < self.segments.len() || (!greedy && path.len() > self.segments.len()) {
            return None;
        }
        let mut parameters = BTreeMap::new();
        for (position, segment) in self.segments.iter().enumerate() {
            let (name, value) = match segment {
                Segment::Literal(text) if *text == decode(path[position]) => continue,
                Segment::Literal(_) => return None,
                Segment::Parameter(name) => (name, decode(path[position])),
                Segment::Rest(name) => (name, decode(&path[position..].join("/"))),
            };
            if value.is_empty() {
                return None;
            }
            parameters.insert(name.clone(), value);
        }
        Some(parameters)
    }
}

fn parse(path: &str) -> Result<Vec<Segment>, &'static str> {
    let path = path.strip_prefix('/').ok_or("a path starts with `/`")?;
    let count = path.split('/').count();
    let mut segments = Vec::with_capacity(count);
    for (position, text) in path.split('/').enumerate() {
        let Some(name) = text
            .strip_prefix('{')
            .and_then(|text| text.strip_suffix('}'))
        else {
            if text.contains(['{', '}']) {
                return Err("a parameter is a whole segment, such as `{model}`");
            }
            segments.push(Segment::Literal(text.to_owned()));
            continue;
        };
        match name.strip_suffix('+') {
            Some(_) if position + 1 < count => {
                return Err("`{name+}` can only be the last segment");
            }
            Some(name) => segments.push(Segment::Rest(name.to_owned())),
            None if name.is_empty() => return Err("a parameter needs a name"),
            None => segments.push(Segment::Parameter(name.to_owned())),
        }
    }
    Ok(segments)
}

/// Segments without the names of parameters: what must differ between routes, and sorts literal
/// before parameter before rest.
fn shape(segments: &[Segment]) -> Vec<Segment> {
    let nameless = |segment: &Segment| match segment {
        Segment::Literal(text) => Segment::Literal(text.clone()),
        Segment::Parameter(_) => Segment::Parameter(String::new()),
        Segment::Rest(_) => Segment::Rest(String::new()),
    };
    segments.iter().map(nameless).collect()
}

/// Undoes percent-encoding; what is not valid stays as it is.
pub(crate) fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut position = 0;
    while let Some(byte) = bytes.get(position) {
        let digits = text
            .get(position + 1..position + 3)
            .filter(|_| *byte == b'%');
        if let Some(digits) =
            digits.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
        {
            decoded.extend(u8::from_str_radix(digits, 16));
            position += 3;
        } else {
            decoded.push(*byte);
            position += 1;
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(routes: &[(&str, &str)]) -> Result<Table, EmulatorError> {
        let routes: Vec<_> = routes
            .iter()
            .map(|(method, path)| {
                Route::new(method.parse().expect("method"), *path, path.to_string())
            })
            .collect();
        Table::new(&routes, |_| true)
    }

    fn function(table: &Table, method: &Method, path: &str) -> Option<String> {
        table
            .find(method, path)
            .map(|found| found.function.to_owned())
    }

    #[test]
    fn literal_beats_parameter_beats_rest() {
        let table = table(&[
            ("GET", "/{all+}"),
            ("GET", "/v1/{model}"),
            ("GET", "/v1/models"),
            ("ANY", "/v1/models"),
        ])
        .expect("valid");
        assert_eq!(
            function(&table, &Method::GET, "/v1/models").as_deref(),
            Some("/v1/models")
        );
        assert_eq!(
            function(&table, &Method::GET, "/v1/x").as_deref(),
            Some("/v1/{model}")
        );
        assert_eq!(
            function(&table, &Method::GET, "/v1/x/y").as_deref(),
            Some("/{all+}")
        );
        assert_eq!(function(&table, &Method::PUT, "/v1/x"), None);
        assert_eq!(
            table
                .find(&Method::PUT, "/v1/models")
                .map(|found| found.key)
                .as_deref(),
            Some("ANY /v1/models")
        );
    }

    #[test]
    fn parameters_are_decoded_after_the_match() {
        let table = table(&[("GET", "/v1/models/{model}")]).expect("valid");
        let found = table
            .find(&Method::GET, "/v1/models/a%2F..%2Fb%00%zz")
            .expect("one segment");
        assert_eq!(found.parameters["model"], "a/../b\0%zz");
        assert!(table.find(&Method::GET, "/v1/models/").is_none());
        assert!(table.find(&Method::GET, "/v1/models/a/").is_none());
    }

    #[test]
    fn bad_routes_are_refused() {
        assert!(table(&[("GET", "v1")]).is_err());
        assert!(table(&[("GET", "/{a+}/b")]).is_err());
        assert!(table(&[("GET", "/x{a}")]).is_err());
        assert!(table(&[("GET", "/{}")]).is_err());
        assert!(table(&[("GET", "/{a}"), ("GET", "/{b}")]).is_err());
        let error =
            Table::new(&[Route::new(Method::GET, "/", "f")], |_| false).expect_err("no function");
        assert_eq!(error.to_string(), "route GET /: there is no function \"f\"");
    }
}
