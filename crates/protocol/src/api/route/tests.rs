use super::{ApiVersion, NoRoute, Requested, Route};

#[test]
fn every_route_is_found_by_its_path_and_no_other() {
    for (version, route) in Route::everywhere() {
        let path = route.path(version, "x");
        assert_eq!(route.pattern(version).contains('{'), path.contains("/x"));
        let found = Route::find(route.method(), &path).unwrap();
        assert_eq!((found.version, found.route), (version, route));
        assert_eq!(found.parameter == "x", path.contains("/x"));
    }
    let predict = Requested {
        version: ApiVersion::V2,
        route: Route::Predict,
        parameter: "fraud",
    };
    assert_eq!(Route::find("POST", "/v2/models/fraud/predict"), Ok(predict));
    let other = NoRoute::Method(vec!["GET", "DELETE"]);
    assert_eq!(Route::find("PUT", "/v1/keys/0"), Err(other));
    for path in [
        "",
        "/",
        "/v1",
        "/v3/models",
        "/v1/models/",
        "/v1/models/a/b",
        "/v1/jobs/00",
        "v1/models",
    ] {
        let found = Route::find("GET", path);
        // An empty name is a name that does not parse.
        assert_eq!(found.is_ok(), path == "/v1/models/", "{path}");
    }
}
