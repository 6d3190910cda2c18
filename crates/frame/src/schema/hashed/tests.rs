use super::*;
use crate::plan::Plan;

const SALES: &str = r#"
format = 1
name = "sales"
hash-names = true
rows = 3
[[column]]
name = "region"
type = "text"
dictionary = ["north", "south"]
roles = ["key"]
[[column]]
name = "since"
type = "date"
min = "2024-01-01"
max = "2024-12-31"
roles = ["key"]
[[lookup]]
by = ["region"]
columns = ["since"]
"#;

fn hasher() -> NameHasher {
    NameHasher::new(&[7; SECRET_LEN], KnownNames::default()).expect("a hasher")
}

fn text(schema: &Schema) -> String {
    String::from_utf8(schema.to_json().expect("JSON")).expect("text")
}

/// Exact tokens: frames that were encrypted stay joinable.
#[test]
fn tokens_are_exactly_these() {
    let hasher = hasher();
    assert_eq!(hasher.id().to_string(), "9634020f45434d3d");
    assert_eq!(hasher.frame("north"), "~5e85b5499e6d791a3bf8");
    assert_eq!(
        hasher.token(TokenKind::Column, "north"),
        "~c24e92cc31412f4871c6"
    );
    assert_eq!(
        hasher.token(TokenKind::Text, "north"),
        "~28c20fc498f8a9518cd1"
    );
    let other = NameHasher::new(&[8; SECRET_LEN], KnownNames::default()).expect("a hasher");
    assert_ne!(other.frame("north"), hasher.frame("north"));
    assert_ne!(other.id(), hasher.id());
    assert!(!format!("{hasher:?}").contains("[7"), "{hasher:?}");
}

#[test]
fn nothing_is_sent_of_names_and_they_are_found_again() {
    let schema = Schema::from_toml(SALES).expect("a schema");
    let error = schema.to_json().expect_err("names are not hashed yet");
    assert!(error.to_string().contains("hash-names"), "{error}");
    let hashed = hasher().hash(&schema).expect("hashed");
    assert_eq!(hashed.name(), "sales");
    let sent = text(&hashed);
    for name in ["sales", "region", "since", "north", "south", "hash-names"] {
        assert!(!sent.contains(name), "{sent}");
    }
    // What people edit keeps its names.
    let toml = hashed.to_toml().expect("TOML");
    assert_eq!(Schema::from_toml(&toml).as_ref(), Ok(&schema));
    let came = Schema::from_json(sent.as_bytes()).expect("a schema");
    assert_eq!(&came, hashed.as_sent());
    assert_eq!(text(&came), sent);
    // Without names it is a schema all the same.
    let unknown = hasher().reveal(&came);
    assert_eq!(unknown.name(), came.name());
    assert_eq!(text(&unknown), sent);
    let known = NameHasher::new(&[7; SECRET_LEN], KnownNames::of(&schema)).expect("a hasher");
    assert_eq!(known.reveal(&came), hashed);
    let other = NameHasher::new(&[8; SECRET_LEN], KnownNames::of(&schema)).expect("a hasher");
    assert_eq!(other.reveal(&came), came, "another secret");
    // Rows that are counted later are counted in both.
    let rows = crate::schema::Rows {
        count: Some(9),
        padded: true,
    };
    assert!(text(&hashed.clone().with_rows(rows)).contains("\"rows\":9,\"padded\":true"));
    let said = format!("column {:?}, ~12 and ~", came.columns()[0].name);
    assert_eq!(known.shown(&said), "column \"region\", ~12 and ~");
    let again = hasher().hash(&hashed).expect_err("hashed twice");
    assert!(again.to_string().contains("hashes already"), "{again}");
}

/// A service that has a hashed frame says a guessed schema in its place.
#[test]
fn names_in_the_clear_of_what_was_hashed_are_refused() {
    let schema = Schema::from_toml(SALES).expect("a schema");
    let by = |known: KnownNames| NameHasher::new(&[7; SECRET_LEN], known).expect("a hasher");
    let mut known = KnownNames::of(&schema);
    let guessed = SALES.replace("hash-names = true", "");
    let guessed = Schema::from_toml(&guessed).expect("a schema");
    let refused = |known: &KnownNames, said: &Schema| {
        let refused = by(known.clone()).reveal_said(said);
        refused.expect_err("it is refused").to_string()
    };
    let error = refused(&known, &guessed);
    assert!(error.contains("frame \"sales\""), "{error}");
    // A frame that nobody knows, of a column that somebody hashed.
    let named = |name: &str| {
        let text = SALES.replace("hash-names = true", "");
        let text = text.replace("name = \"sales\"", &format!("name = \"{name}\""));
        Schema::from_toml(&text).expect("a schema")
    };
    let other = named("other");
    let error = refused(&known, &other);
    assert!(error.contains("has a column \"region\""), "{error}");

    known.extend(KnownNames::in_the_clear("other"));
    assert_eq!(by(known.clone()).reveal_said(&other), Ok(other.clone()));
    known.extend(KnownNames::in_the_clear("sales"));
    assert!(refused(&known, &guessed).contains("frame \"sales\""));
    // Who has the secret alone knows nothing to hold a first answer to: that frames are in the clear is
    // taken of those alone that it has kept so itself.
    let none = KnownNames::default();
    assert!(refused(&none, &guessed).contains("copy names.json"));
    let own = KnownNames::in_the_clear("other");
    assert_eq!(by(own.clone()).reveal_said(&other), Ok(other));
    assert!(refused(&own, &guessed).contains("copy names.json"));
    // What was hashed is shown by its names, and what others hashed stays as it is.
    let hashed = hasher().hash(&schema).expect("hashed");
    assert_eq!(
        by(known.clone()).reveal_said(hashed.as_sent()),
        Ok(hashed.clone())
    );
    let others = NameHasher::new(&[8; SECRET_LEN], known).expect("a hasher");
    let sent = hashed.as_sent();
    assert_eq!(others.reveal_said(sent).as_ref(), Ok(sent));
}

#[test]
fn documents_that_say_both_or_were_sent_unhashed_are_refused() {
    let id = hasher().id();
    let both = SALES.replace("rows = 3", &format!("rows = 3\nnames = \"{id}\""));
    let error = Schema::from_toml(&both).expect_err("both").to_string();
    assert!(error.contains("hash-names"), "{error}");
    let clear = SALES.replace("hash-names = true", "");
    let clear = text(&Schema::from_toml(&clear).expect("a schema"));
    let sent = clear.replace("\"rows\"", "\"hash-names\":true,\"rows\"");
    let error = Schema::from_json(sent.as_bytes()).expect_err("sent unhashed");
    assert!(
        error.to_string().contains("no names were hashed"),
        "{error}"
    );
    let table = Schema::from_toml(SALES).expect("a schema");
    let cells = cipherfn_protocol::hash::Hash::of(&[]);
    let error = table.in_the_clear(3, cells).expect_err("in the clear");
    assert!(error.to_string().contains("hash-names"), "{error}");
}

#[test]
fn names_of_one_hash_are_refused() {
    let schema = Schema::from_toml(SALES).expect("a schema");
    let mut hasher = hasher();
    let token = hasher.token(TokenKind::Text, "north");
    hasher.known = Arc::new(HashMap::from([(token, "Norden".to_owned())]));
    let error = hasher.hash(&schema).expect_err("a collision").to_string();
    assert!(
        error.contains("\"Norden\" and \"north\" one hash"),
        "{error}"
    );
}

/// Texts beside dates stay, texts beside texts do not, wherever they stand.
#[test]
fn plans_are_sent_with_dates_and_without_texts() {
    let schema = hasher().hash(&Schema::from_toml(SALES).expect("a schema"));
    let schema = [schema.expect("hashed")];
    let sql = "SELECT region, MAX(since) AS latest FROM sales WHERE (region = 'north' OR region IN ('south')) AND since > '2024-02-03' AND since IN ('2024-05-06') GROUP BY region";
    let plan = Plan::from_sql(sql, &schema).expect("a plan");
    let sent = String::from_utf8(plan.sent(&schema).to_json().expect("JSON")).expect("text");
    for name in ["sales", "region", "north", "south", "latest"] {
        assert!(!sent.contains(name), "{sent}");
    }
    for date in ["2024-02-03", "2024-05-06"] {
        assert!(sent.contains(date), "{sent}");
    }
    let clear = SALES.replace("hash-names = true", "");
    let clear = [Schema::from_toml(&clear).expect("a schema")];
    assert_eq!(plan.sent(&clear), plan);
}
