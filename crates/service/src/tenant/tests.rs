use super::Tenant;
use lambda_http::request::LambdaRequest;

fn tenant(authorizer: &str) -> Option<Tenant> {
    let event = format!(
        r#"{{"version":"2.0","routeKey":"$default","rawPath":"/v1/models","rawQueryString":"","headers":{{}},"isBase64Encoded":false,
        "requestContext":{{"accountId":"1","apiId":"a","domainName":"d","domainPrefix":"d","requestId":"r","routeKey":"$default","stage":"$default",
        "time":"t","timeEpoch":0,"http":{{"method":"GET","path":"/v1/models","protocol":"HTTP/1.1","sourceIp":"::1","userAgent":""}}{authorizer}}}}}"#
    );
    let request: LambdaRequest = serde_json::from_str(&event).unwrap();
    Tenant::of_request(&request.into()).ok()
}

fn iam(user: &str) -> Option<Tenant> {
    tenant(&format!(
        r#","authorizer":{{"iam":{{"accessKey":"k","accountId":"1","callerId":"c","userArn":"arn","userId":"{user}"}}}}"#
    ))
}

fn jwt(issuer: &str, subject: &str) -> Option<Tenant> {
    tenant(&format!(
        r#","authorizer":{{"jwt":{{"claims":{{"iss":"{issuer}","sub":"{subject}"}},"scopes":null}}}}"#
    ))
}

#[test]
fn identities_are_told_apart() {
    let tenants = [
        iam("AIDA1"),
        iam("AIDA2"),
        iam("AROA1:x"),
        jwt("i", "AIDA1"),
        jwt("j", "AIDA1"),
        jwt("i", "b"),
    ];
    for (index, tenant) in tenants.iter().enumerate() {
        assert!(tenant.is_some());
        assert!(!tenants[..index].contains(tenant), "{index}");
    }
}

#[test]
fn a_roles_sessions_are_one_tenant() {
    assert_eq!(iam("AROA1:one"), iam("AROA1:two"));
    assert_ne!(iam("AROA1:one"), iam("AROA2:one"));
}

#[test]
fn no_identity_is_no_tenant() {
    assert_eq!(tenant(""), None);
    assert_eq!(tenant(r#","authorizer":{}"#), None);
    assert_eq!(iam(""), None);
    assert_eq!(jwt("i", ""), None);
}

#[test]
fn names_are_safe_in_paths() {
    let name = Tenant::of("../../x").to_string();
    assert!(name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit()));
}
