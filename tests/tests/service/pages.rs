//! Pages: whose scripts may call, by the answers that browsers go by, and how a page is served.

use crate::models::TREE;
use crate::stack::Stack;
use crate::wire::{self, Answer};
use std::fs;

const PAGE: &str = "https://www.example.com";
const OTHER: &str = "https://other.example.com";
const MODEL: &str = "/v2/models/tree";

async fn ask(url: &str, method: &str, target: &str, headers: &[(&str, &str)]) -> Answer {
    let request = wire::request(method, target, headers, "");
    let sent = wire::send(wire::split(url).0, request).await;
    sent.unwrap_or_else(|error| panic!("{method} {target}: {error}"))
}

async fn preflight(url: &str, target: &str, origin: &str, method: &str) -> Answer {
    let headers = [
        ("origin", origin),
        ("access-control-request-method", method),
        ("access-control-request-headers", "content-type"),
    ];
    ask(url, "OPTIONS", target, &headers).await
}

const ALLOWED: &str = "access-control-allow-origin";

#[tokio::test(flavor = "multi_thread")]
async fn pages_call_only_where_they_are_named() {
    let stack = Stack::start(|setup| setup.pages.origins = vec![PAGE.to_owned()]).await;
    stack.publish("tree", &TREE.bundle, 2).await;
    let api = stack.emulator.url();
    let asked = preflight(api, MODEL, PAGE, "GET").await;
    assert_eq!((asked.status, asked.header(ALLOWED)), (204, PAGE));
    let methods = asked.header("access-control-allow-methods");
    assert_eq!(methods, "GET, POST, DELETE");
    let headers = asked.header("access-control-allow-headers");
    for name in ["authorization", "content-type", "if-none-match"] {
        assert!(headers.contains(name), "{headers}");
    }
    let other = preflight(api, MODEL, OTHER, "GET").await;
    assert_eq!((other.status, other.header(ALLOWED)), (204, ""));

    let specs = ask(api, "GET", MODEL, &[("origin", PAGE)]).await;
    assert_eq!((specs.status, specs.header(ALLOWED)), (200, PAGE));
    let exposed = specs.header("access-control-expose-headers");
    for name in ["etag", "cipherfn-statement", "retry-after"] {
        assert!(exposed.contains(name), "{exposed}");
    }
    let refused = ask(api, "GET", "/v2/models/none", &[("origin", PAGE)]).await;
    assert_eq!((refused.status, refused.header(ALLOWED)), (404, PAGE));
    let other = ask(api, "GET", MODEL, &[("origin", OTHER)]).await;
    assert_eq!((other.status, other.header(ALLOWED)), (200, ""));

    let bucket = stack.emulator.s3_endpoint();
    let asked = preflight(bucket, "/b/k", PAGE, "PUT").await;
    assert_eq!((asked.status, asked.header(ALLOWED)), (200, PAGE));
    let named = asked.header("access-control-allow-headers");
    assert_eq!(named, "content-type", "what is asked for");
    let other = preflight(bucket, "/b/k", OTHER, "PUT").await;
    assert_eq!((other.status, other.header(ALLOWED)), (403, ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_may_call_by_default() {
    let stack = Stack::start(|_| {}).await;
    stack.publish("tree", &TREE.bundle, 2).await;
    let specs = ask(stack.emulator.url(), "GET", MODEL, &[("origin", PAGE)]).await;
    assert_eq!((specs.status, specs.header(ALLOWED)), (200, ""));
    for url in [stack.emulator.url(), stack.emulator.s3_endpoint()] {
        let asked = preflight(url, MODEL, PAGE, "GET").await;
        assert!(asked.status >= 400, "{asked:?}");
        assert_eq!(asked.header(ALLOWED), "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_served_from_its_folder_and_from_nowhere_else() {
    let folder = tempfile::tempdir().expect("a directory");
    let page = folder.path().join("page");
    fs::create_dir_all(page.join("js")).expect("a directory");
    for (file, text) in [
        ("page/index.html", "<!doctype html>"),
        ("page/js/a.js", "1"),
        ("page/.env.txt", "secret"),
        ("outside.txt", "secret"),
    ] {
        fs::write(folder.path().join(file), text).expect("a file");
    }
    #[cfg(unix)]
    std::os::unix::fs::symlink("../outside.txt", page.join("link.txt")).expect("a link");
    let stack = Stack::start(|setup| setup.pages.folder = Some(page)).await;
    let url = stack.emulator.page_url().expect("a page is served");
    let url = url.trim_end_matches('/');
    let get = async |target: &str| ask(url, "GET", target, &[]).await;

    let index = get("/").await;
    assert_eq!(
        (index.status, &index.body[..]),
        (200, b"<!doctype html>".as_slice())
    );
    let policy = index.header("content-security-policy");
    let connect = format!(
        "connect-src 'self' {} {};",
        stack.emulator.url(),
        stack.emulator.s3_endpoint()
    );
    assert!(
        policy.contains(&connect) && policy.contains("default-src 'none'"),
        "{policy}"
    );
    let script = get("/js/a.js").await;
    assert_eq!(script.content_type(), "text/javascript; charset=utf-8");
    let service = get("/cipherfn.json").await.json();
    assert_eq!(service["service"], stack.emulator.url());
    for target in [
        "/../outside.txt",
        "/js/../../outside.txt",
        "/%2e%2e/outside.txt",
        "/link.txt",
        "/.env.txt",
        "//outside.txt",
        "/js",
        "/none.js",
    ] {
        let answer = get(target).await;
        assert_eq!(answer.status, 404, "{target}");
        assert!(!answer.body.windows(6).any(|part| part == b"secret"));
    }
    assert_eq!(ask(url, "POST", "/", &[]).await.status, 405);
    // Its scripts may call.
    let asked = preflight(stack.emulator.url(), MODEL, url, "POST").await;
    assert_eq!(asked.header(ALLOWED), url);
}
