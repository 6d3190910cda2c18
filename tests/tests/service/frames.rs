//! Encrypted frames that the service keeps: stored, queried in a request and as jobs that several
//! processes share, refused, deleted. No model is published anywhere here.

use crate::jobs::kill_in_turn;
use crate::live::change;
use crate::stack::{Setup, Stack, tenants};
use cipherfn_client::frames::{FrameEncryptor, Tables, decrypt_reply};
use cipherfn_client_http::{KeyRing, Service, ServiceError};
use cipherfn_frame::cells::Units;
use cipherfn_frame::file::{FileHead, FrameWriter};
use cipherfn_frame::plan::Plan;
use cipherfn_frame::reply::Reply;
use cipherfn_frame::schema::{Rows, Schema};
use cipherfn_protocol::api::ProblemType;
use cipherfn_protocol::api::frames::{FrameId, FrameQuery, FrameStatus};
use cipherfn_protocol::api::grant::{Grant, GrantId};
use cipherfn_protocol::frame::{self, FrameKind};
use cipherfn_protocol::specs::{BaseLog, Gadget, Levels};
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_scheme::{EvaluationKey, SecretKey};
use cipherfn_service::config;
use cipherfn_serving::frames::{PreparedQuery, StoredFrame, StoredRows, SumRows, evaluate};
use cipherfn_signing::SigningKey;
use std::collections::BTreeMap;
use std::time::Duration;
use tempfile::TempDir;
use time::OffsetDateTime;

const SET: &str = "cipherfn-128-n2048-m11-v1";
pub(crate) const GADGET: Gadget = Gadget::new(BaseLog::new(6), Levels::new(4));
const SALES: &str = r#"
format = 1
name = "sales"
[[column]]
name = "sku"
type = "integer"
min = 0
max = 15
roles = ["key"]
[[column]]
name = "age"
type = "integer"
min = 0
max = 63
roles = ["key"]
[[column]]
name = "amount"
type = "integer"
min = 0
max = 63
limb-bits = 2
roles = ["value"]
"#;
const PRICES: &str = r#"
format = 1
name = "prices"
[[column]]
name = "sku"
type = "integer"
min = 0
max = 15
roles = ["key"]
[[column]]
name = "kind"
type = "integer"
min = 0
max = 3
roles = ["key"]
[[lookup]]
by = ["sku"]
"#;
pub(crate) const BY_AGE: &str =
    "SELECT sku, SUM(amount) AS total FROM sales WHERE age > 30 GROUP BY sku";
const BY_KIND: &str = "SELECT kind, SUM(amount) AS total FROM sales INNER JOIN prices ON sales.sku = prices.sku GROUP BY kind";

pub(crate) fn set() -> &'static ParameterSet {
    ParameterSet::by_name(SET).expect("the set")
}

/// A table in the clear and the key that encrypts it.
pub(crate) struct Table {
    pub(crate) schema: Schema,
    pub(crate) rows: Vec<Units>,
}

impl Table {
    pub(crate) fn sales(count: i64) -> Self {
        let row = |row: i64| vec![Some(row * 7 % 16), Some(row * 13 % 64), Some(row * 31 % 64)];
        Self {
            schema: Schema::from_toml(SALES).expect("a schema"),
            rows: (0..count).map(row).collect(),
        }
    }

    pub(crate) fn prices() -> Self {
        Self {
            schema: Schema::from_toml(PRICES).expect("a schema"),
            rows: (0..12).map(|sku| vec![Some(sku), Some(sku % 4)]).collect(),
        }
    }

    /// Head of a file that says it has so many rows.
    pub(crate) fn head(&self, secret: &SecretKey, count: usize) -> FileHead {
        FileHead {
            schema: self.schema.clone().with_rows(Rows {
                count: Some(count as u64),
                padded: false,
            }),
            key: secret.id(),
            parameter_set: set().tag(),
            gadget: GADGET,
        }
    }

    /// Encrypted, in pieces of so many rows.
    pub(crate) fn encrypted(&self, secret: &SecretKey, rows_a_piece: usize) -> Encrypted {
        let encryptor = FrameEncryptor::new(secret, &self.schema, GADGET);
        let tables = self.schema.lookups().iter().map(|lookup| {
            let mut tables = Tables::new(&self.schema, lookup);
            for row in &self.rows {
                tables.add(row).expect("a row");
            }
            encryptor.tables(lookup, tables).expect("tables")
        });
        let tables: Vec<_> = tables.collect();
        let (mut pieces, mut chunks) = (Vec::new(), Vec::new());
        for (number, rows) in self.rows.chunks(rows_a_piece).enumerate() {
            let head = self.head(secret, rows.len());
            let mut writer = FrameWriter::new(Vec::new(), &head, &[]).expect("memory");
            for table in &tables {
                let table: &[u8] = if number == 0 { table } else { &[] };
                writer.tables(table).expect("memory");
            }
            let rows: Vec<_> = rows.iter().cloned().map(Some).collect();
            let rows = encryptor.rows(&rows, 0).expect("rows");
            writer.rows(rows.rows as u32, &rows.inputs).expect("memory");
            pieces.push(writer.finish().expect("memory"));
            chunks.push(StoredRows {
                rows: rows.rows,
                inputs: rows.inputs,
            });
        }
        let head = self.head(secret, self.rows.len());
        Encrypted {
            pieces,
            stored: StoredFrame::new(set(), head.schema.clone(), chunks, &tables).expect("a frame"),
            head,
        }
    }
}

/// The same frame as it is uploaded, and as this process would evaluate it.
pub(crate) struct Encrypted {
    pub(crate) pieces: Vec<Vec<u8>>,
    pub(crate) stored: StoredFrame,
    pub(crate) head: FileHead,
}

/// Somebody with keys that are registered.
pub(crate) struct Owner {
    pub(crate) service: Service,
    pub(crate) ring: KeyRing,
    pub(crate) secret: SecretKey,
    _directory: TempDir,
}

impl Owner {
    pub(crate) async fn new(stack: &Stack, token: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let ring = KeyRing::at(directory.path().join("keys"));
        let service = stack.service_of(token);
        let registered = service.register_for_frames(&ring, set(), |_| ());
        registered.await.expect("a registered key");
        Self {
            secret: ring.secret_key(set()).expect("a key"),
            service,
            ring,
            _directory: directory,
        }
    }

    pub(crate) async fn upload(&self, frame: &Encrypted) -> FrameStatus {
        let pieces = frame.pieces.clone().into_iter();
        let uploaded = self.service.upload_frame(pieces, |_| ()).await;
        uploaded.expect("a stored frame")
    }

    /// What this process answers, and the columns in the clear.
    fn evaluated(&self, sql: &str, frames: &[&Encrypted]) -> Vec<u8> {
        let stored: Vec<_> = frames.iter().map(|frame| &frame.stored).collect();
        self.evaluated_here(&prepared(sql, frames), &stored)
    }

    /// What this process answers to a query over frames, in the order in which they were given to it.
    pub(crate) fn evaluated_here(
        &self,
        prepared: &PreparedQuery,
        frames: &[&StoredFrame],
    ) -> Vec<u8> {
        let key = self
            .ring
            .key_part(set(), set().expansion().expect("a part"))
            .expect("a key")
            .to_file_bytes();
        let key = EvaluationKey::from_file_bytes(&key).expect("a key");
        let key = key.expand().expect("a key");
        let stored = prepared.places.iter().map(|place| frames[*place]);
        let stored: Vec<_> = stored.collect();
        let passes = prepared.passes_of(&stored, &[]).expect("passes");
        let results = evaluate(&key, &passes, &stored).expect("an answer");
        let last = results.last().expect("a pass");
        prepared.reply(last).expect("a reply").to_bytes()
    }

    /// Sums by group.
    pub(crate) fn open(
        &self,
        sql: &str,
        frames: &[&Encrypted],
        reply: &[u8],
    ) -> BTreeMap<String, String> {
        let rows = self.opened(&prepared(sql, frames), reply).into_iter();
        rows.map(|mut row| (row.remove(0), row.remove(0))).collect()
    }

    /// The cells of an answer.
    pub(crate) fn opened(&self, prepared: &PreparedQuery, reply: &[u8]) -> Vec<Vec<String>> {
        let reply = Reply::from_bytes(reply).expect("a reply");
        assert_eq!(reply.query, prepared.hash);
        let last = prepared.last();
        let rows = prepared.rows_of(last);
        let words = decrypt_reply(&self.secret, last, rows, &reply.ciphertexts);
        let errors: Vec<f64> = prepared.columns.iter().map(|column| column.error).collect();
        let decoded = prepared
            .passes
            .answer
            .decode(&words.expect("words"), &errors);
        let texts = decoded
            .iter()
            .map(|row| row.iter().map(ToString::to_string));
        texts.map(Iterator::collect).collect()
    }
}

fn plan(sql: &str, frames: &[&Encrypted]) -> Plan {
    let schemas: Vec<Schema> = frames
        .iter()
        .map(|frame| frame.head.schema.clone())
        .collect();
    Plan::from_sql(sql, &schemas).expect("a plan")
}

fn prepared(sql: &str, frames: &[&Encrypted]) -> PreparedQuery {
    let heads = frames.iter();
    let heads = heads.map(|frame| (frame.head.clone(), frame.stored.rows()));
    let heads: Vec<_> = heads.collect();
    PreparedQuery::new(plan(sql, frames), &heads, &[], SumRows::Given(64)).expect("a query")
}

pub(crate) fn query(sql: &str, frames: &[&Encrypted], ids: &[FrameId]) -> FrameQuery {
    let plan = plan(sql, frames).to_json().expect("JSON");
    FrameQuery {
        frames: ids.to_vec(),
        tables: Vec::new(),
        models: Vec::new(),
        plan: serde_json::from_slice(&plan).expect("JSON"),
        rows_per_sum: 64,
        min_bits: 1.0,
    }
}

pub(crate) fn sums(groups: impl Iterator<Item = (i64, i64)>) -> BTreeMap<String, String> {
    let mut sums = BTreeMap::<i64, i64>::new();
    for (group, amount) in groups {
        *sums.entry(group).or_default() += amount;
    }
    let text = |(group, sum): (i64, i64)| (group.to_string(), sum.to_string());
    sums.into_iter().map(text).collect()
}

pub(crate) fn kind(error: &ServiceError) -> Option<ProblemType> {
    error.problem().map(|problem| problem.kind)
}

pub(crate) async fn stack(change: impl FnOnce(&mut Setup)) -> Stack {
    Stack::start(|setup| {
        setup.authorizer = tenants(&["alice", "bob", "eve"]);
        change(setup);
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_are_kept_and_queried_alike_by_one_process_or_by_many() {
    let stack = stack(|_| ()).await;
    let alice = Owner::new(&stack, "alice-token").await;
    let table = Table::sales(200);
    let sales = table.encrypted(&alice.secret, 128);
    let prices = Table::prices().encrypted(&alice.secret, 64);
    assert_eq!(sales.pieces.len(), 2);
    let stored = [alice.upload(&sales).await, alice.upload(&prices).await];
    assert_eq!((stored[0].rows, stored[0].pieces), (200, 2));
    let ids = stored.each_ref().map(|frame| frame.frame);
    let listed = alice.service.frames().await.expect("a list");
    assert_eq!(listed.frames.len(), 2);
    for (name, whole) in [("sales", &stored[0]), ("prices", &stored[1])] {
        let own = listed.frames.iter().find(|own| own.name == name);
        let own = own.expect("a stored frame");
        assert_eq!(
            (own.frame, own.rows, own.bytes),
            (whole.frame, whole.rows, whole.bytes)
        );
    }
    let shown = alice.service.frame(ids[0]).await.expect("a status");
    assert_eq!(shown, stored[0]);
    let schema = serde_json::to_vec(&shown.schema).expect("JSON");
    let schema = Schema::from_json(&schema).expect("a schema");
    assert_eq!(schema, sales.head.schema);

    let cell = |row: &Units, column: usize| row[column].expect("no nulls");
    let rows = table.rows.iter();
    let by_age = rows.filter(|row| cell(row, 1) > 30);
    let by_age = sums(by_age.map(|row| (cell(row, 0), cell(row, 2))));
    for (sql, frames, ids, passes, expected) in [
        (BY_AGE, &[&sales][..], &ids[..1], 1, Some(by_age)),
        (BY_KIND, &[&sales, &prices], &ids[..], 2, None),
    ] {
        let mut asked = query(sql, frames, ids);
        if expected.is_none() {
            // Two passes of so few bits: that they are the same is what counts here.
            asked.min_bits = 0.0;
        }
        let figures = alice.service.explain_query(&asked).await.expect("figures");
        assert_eq!(figures.passes.len(), passes, "{sql}");
        let here = alice.evaluated(sql, frames);
        if let Some(expected) = expected {
            assert_eq!(alice.open(sql, frames, &here), expected, "{sql}");
        }
        let whole = alice.service.query_frames(&asked).await.expect("an answer");
        assert!(whole == here, "{sql}: one process");
        let head = whole.len() as u64 - figures.bytes;
        assert!(head < 400, "{sql}: {head} bytes more than was said");
        for rows in [64, 128] {
            let shared = alice.service.query_frames_as_job(&asked, rows).await;
            assert!(
                shared.expect("an answer") == here,
                "{sql}: {rows} rows a part"
            );
        }
    }

    // Nobody else's.
    let bob = Owner::new(&stack, "bob-token").await;
    assert!(
        bob.service
            .frames()
            .await
            .expect("a list")
            .frames
            .is_empty()
    );
    let asked = query(BY_AGE, &[&sales], &ids[..1]);
    let refusals = [
        bob.service.frame(ids[0]).await.map(drop),
        bob.service.delete_frame(ids[0]).await,
        bob.service.explain_query(&asked).await.map(drop),
        bob.service.query_frames(&asked).await.map(drop),
        bob.service.query_frames_as_job(&asked, 64).await.map(drop),
    ];
    for refused in refusals {
        let error = refused.expect_err("it is alice's");
        assert_eq!(kind(&error), Some(ProblemType::UnknownFrame), "{error}");
    }

    // Gone when its owner says so, with all there was of it.
    for id in ids {
        alice.service.delete_frame(id).await.expect("deleted");
    }
    let error = alice.service.query_frames(&asked).await.expect_err("gone");
    assert_eq!(kind(&error), Some(ProblemType::UnknownFrame), "{error}");
    let left = stack.objects().await.into_iter();
    let left: Vec<_> = left
        .filter(|key| !key.starts_with("keys/"))
        .filter(|key| !key.starts_with("jobs/index/") && !key.ends_with("index.json"))
        .collect();
    assert_eq!(left, Vec::<String>::new());
    assert!(stack.emulator.dead_letters().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_outlives_its_workers() {
    let stack = stack(|_| ()).await;
    let alice = Owner::new(&stack, "alice-token").await;
    let sales = Table::sales(600).encrypted(&alice.secret, 600);
    let prices = Table::prices().encrypted(&alice.secret, 64);
    let stored = [alice.upload(&sales).await, alice.upload(&prices).await];
    let mut asked = query(
        BY_KIND,
        &[&sales, &prices],
        &stored.map(|frame| frame.frame),
    );
    asked.min_bits = 0.0;
    let job = alice.service.query_frames_as_job(&asked, 64);
    let killed = async {
        // Workers that have begun: one that is killed before is nobody's loss.
        while !stack
            .objects()
            .await
            .iter()
            .any(|key| key.contains("/parts/"))
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        kill_in_turn(&stack, &["worker", "worker"]).await;
    };
    let (answer, ()) = tokio::join!(job, killed);
    let here = alice.evaluated(BY_KIND, &[&sales, &prices]);
    assert!(answer.expect("an answer") == here);
}

#[expect(
    clippy::too_many_lines,
    reason = "one refusal after the other, over one service"
)]
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_kept_or_asked_is_refused_with_its_place() {
    let stack = stack(|setup| {
        let quota = (config::FRAME_QUOTA, "2".to_owned());
        setup.environment.push(quota);
    })
    .await;
    let alice = Owner::new(&stack, "alice-token").await;
    let table = Table::sales(10);
    let sales = table.encrypted(&alice.secret, 64);
    let upload = async |pieces: Vec<Vec<u8>>| {
        let uploaded = alice.service.upload_frame(pieces.into_iter(), |_| ());
        uploaded.await.map(|frame| frame.frame)
    };
    let refused = |error: ServiceError, wanted: ProblemType, text: &str| {
        let found = error.problem().expect("a problem");
        assert_eq!(found.kind, wanted, "{error}");
        assert!(found.detail.contains(text), "{error}");
    };
    // No frame, pieces that do not go together.
    let error = upload(vec![b"no frame".to_vec()]).await.unwrap_err();
    refused(error, ProblemType::MalformedFrame, "piece 0");
    let long = frame::encode(FrameKind::DataFrame, 1, set().tag(), &vec![0; 2 << 20]);
    let error = upload(vec![long]).await.unwrap_err();
    refused(
        error,
        ProblemType::MalformedFrame,
        "piece 0: its schema is larger than 1 MiB",
    );
    let stranger = SecretKey::generate(set()).expect("a key");
    let other = table.encrypted(&stranger, 64);
    let pieces = vec![sales.pieces[0].clone(), other.pieces[0].clone()];
    let error = upload(pieces).await.unwrap_err();
    refused(
        error,
        ProblemType::MalformedFrame,
        "piece 1: it is encrypted under another key",
    );
    let amount = "max = 63\nlimb-bits = 2\nroles = [\"value\"]";
    let coarse = "max = 1048575\nlimb-bits = 20\nroles = [\"value\"]";
    let coarse = Table {
        schema: Schema::from_toml(&SALES.replace(amount, coarse)).expect("a schema"),
        rows: table.rows.clone(),
    };
    let coarse = coarse.encrypted(&alice.secret, 64);
    let pieces = vec![sales.pieces[0].clone(), coarse.pieces[0].clone()];
    let error = upload(pieces).await.unwrap_err();
    refused(
        error,
        ProblemType::MalformedFrame,
        "piece 1: it has another schema",
    );

    let prices = Table::prices().encrypted(&alice.secret, 64);
    let again = Table::prices().encrypted(&alice.secret, 64);
    let pieces = vec![prices.pieces[0].clone(), again.pieces[0].clone()];
    let error = upload(pieces).await.unwrap_err();
    refused(error, ProblemType::MalformedFrame, "piece 1: it has tables");

    // A head that lies about what follows is found when it is read.
    let mut writer =
        FrameWriter::new(Vec::new(), &table.head(&alice.secret, 11), &[]).expect("memory");
    let encryptor = FrameEncryptor::new(&alice.secret, &table.schema, GADGET);
    let rows: Vec<_> = table.rows.iter().cloned().map(Some).collect();
    let rows = encryptor.rows(&rows, 0).expect("rows");
    writer.rows(10, &rows.inputs).expect("memory");
    let lies = upload(vec![writer.finish().expect("memory")])
        .await
        .expect("stored");
    let asked = |id| query(BY_AGE, &[&sales], &[id]);
    let error = alice.service.query_frames(&asked(lies)).await.unwrap_err();
    refused(
        error,
        ProblemType::MalformedFrame,
        "makes 10 rows, of which the head says that there are 11",
    );
    let error = alice.service.query_frames_as_job(&asked(lies), 64).await;
    let ServiceError::QueryFailed { problem, .. } = error.unwrap_err() else {
        panic!("the job fails");
    };
    assert_eq!(problem.kind, ProblemType::MalformedFrame, "{problem:?}");

    alice.service.delete_frame(lies).await.expect("deleted");

    let id = upload(sales.pieces.clone()).await.expect("stored");
    let coarse_id = upload(coarse.pieces.clone()).await.expect("stored");
    let error = upload(prices.pieces.clone()).await.unwrap_err();
    refused(error, ProblemType::FrameQuota, "you have 2 frames");

    // Plans: what schemas do not allow, what is less exact than asked, numbers that make no sense.
    let mut wrong = asked(id);
    wrong.plan["scan"] = "other".into();
    let mut unknown = asked(id);
    unknown.plan["steps"][0] = serde_json::json!({ "select": ["nothing"] });
    for (asked, text) in [(&wrong, "other"), (&unknown, "nothing")] {
        let error = alice.service.query_frames(asked).await.unwrap_err();
        refused(error, ProblemType::PlanRefused, text);
        let error = alice.service.query_frames_as_job(asked, 64).await;
        refused(error.unwrap_err(), ProblemType::PlanRefused, text);
    }
    let mut exact = query(BY_AGE, &[&coarse], &[coarse_id]);
    let figures = alice.service.explain_query(&exact).await;
    let bits = figures.expect("figures").columns[1]
        .bits
        .expect("not exact");
    exact.min_bits = bits + 0.5;
    let error = alice.service.explain_query(&exact).await.unwrap_err();
    refused(error, ProblemType::PlanRefused, "step 2");
    let error = alice.service.query_frames(&exact).await.unwrap_err();
    refused(error, ProblemType::PlanRefused, "were asked for");
    let error = alice.service.query_frames_as_job(&exact, 64).await;
    let ServiceError::QueryFailed { attempts, problem } = error.unwrap_err() else {
        panic!("the job fails");
    };
    assert_eq!((attempts, problem.kind), (1, ProblemType::PlanRefused));
    for rows in [0, 1, 65] {
        let error = alice.service.query_frames_as_job(&asked(id), rows).await;
        refused(
            error.unwrap_err(),
            ProblemType::MalformedRequest,
            "rows_a_part",
        );
    }
    let mut none = asked(id);
    none.frames.clear();
    let mut sums = asked(id);
    sums.rows_per_sum = 4096;
    let mut bits = asked(id);
    bits.min_bits = -1.0;
    for (asked, text) in [
        (&none, "frames: 0"),
        (&sums, "rows_per_sum: 4096"),
        (&bits, "min_bits"),
    ] {
        let error = alice.service.query_frames(asked).await.unwrap_err();
        refused(error, ProblemType::MalformedRequest, text);
        let error = alice.service.query_frames_as_job(asked, 64).await;
        refused(error.unwrap_err(), ProblemType::MalformedRequest, text);
    }
    // Without the key nothing is evaluated.
    alice
        .service
        .delete_key(alice.secret.id())
        .await
        .expect("deleted");
    let error = alice.service.query_frames(&asked(id)).await.unwrap_err();
    assert_eq!(kind(&error), Some(ProblemType::UnknownKey), "{error}");
}

/// A frame that runs out is gone for its owner, who has room for another one.
#[tokio::test(flavor = "multi_thread")]
async fn frames_run_out() {
    let stack = stack(|setup| {
        let quota = (config::FRAME_QUOTA, "1".to_owned());
        setup.environment.push(quota);
    })
    .await;
    let alice = Owner::new(&stack, "alice-token").await;
    let sales = Table::sales(10).encrypted(&alice.secret, 64);
    let id = alice.upload(&sales).await.frame;
    let asked = query(BY_AGE, &[&sales], &[id]);
    alice.service.query_frames(&asked).await.expect("an answer");
    let other = Table::prices().encrypted(&alice.secret, 64);
    let again = async || {
        let pieces = other.pieces.clone().into_iter();
        alice.service.upload_frame(pieces, |_| ()).await
    };
    let error = again().await.expect_err("no room");
    assert_eq!(kind(&error), Some(ProblemType::FrameQuota), "{error}");

    let end = |record: &[u8], path: &[&str]| {
        let mut document: serde_json::Value = serde_json::from_slice(record).expect("JSON");
        let field = path.iter().fold(&mut document, |own, name| &mut own[*name]);
        assert!(field.is_string(), "{path:?}");
        *field = "1970-01-01T00:00:00Z".into();
        document.to_string().into_bytes()
    };
    let name = id.to_string();
    let record = format!("{name}/record.json");
    change(&stack, &record, |record| end(record, &["until"])).await;
    let tenant = alice.service.frames().await.expect("a list");
    assert!(tenant.frames.is_empty(), "{:?}", tenant.frames);
    let index = format!("frames/{}/index.json", tenant.tenant);
    change(&stack, &index, |index| {
        end(index, &["frames", &name, "until"])
    })
    .await;

    let signs = SigningKey::generate().expect("a key");
    let grant = signs.sign_grant(Grant {
        id: GrantId::from_bytes([1; 16]),
        owner: tenant.tenant,
        target: id.into(),
        to: None,
        objects: 1,
        bytes: 1 << 20,
        expires: OffsetDateTime::now_utc()
            .replace_nanosecond(0)
            .expect("a time")
            + Duration::from_hours(1),
    });
    let refusals = [
        alice.service.frame(id).await.map(drop),
        alice.service.explain_query(&asked).await.map(drop),
        alice.service.query_frames(&asked).await.map(drop),
        alice
            .service
            .query_frames_as_job(&asked, 64)
            .await
            .map(drop),
        alice.service.offer_grant(&grant).await.map(drop),
    ];
    for refused in refusals {
        let error = refused.expect_err("it has run out");
        assert_eq!(kind(&error), Some(ProblemType::FrameExpired), "{error}");
    }
    let stored = again().await.expect("there is room");
    let list = alice.service.frames().await.expect("a list").frames;
    assert_eq!(list.len(), 1);
    assert_eq!(list[0].frame, stored.frame);
}
