//! Models, compiled once a test process, and callers with keys of their own.

use crate::stack::name;
use cipherfn_circuit::Bundle;
use cipherfn_circuit::circuit::{Bootstrap, Constant, ConstantId, Node, NodeId, Rotated};
use cipherfn_client::{Accept, Client};
use cipherfn_client_http::{Existing, KeyRing};
use cipherfn_client_http::{Registered, Service, ServiceError};
use cipherfn_compiler::{Calibration, FeatureMode, Options, Profile};
use cipherfn_protocol::api::{KeyState, ModelName};
use cipherfn_protocol::message::KeyId;
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_scheme::{EvaluationKey, SecretKey};
use cipherfn_table::TableError;
use cipherfn_tests::{Encrypted, Server, compile, library_models, predict};
use std::error::Error;
use std::io::Cursor;
use std::sync::{Arc, LazyLock, OnceLock};
use tempfile::TempDir;

/// A decision tree, with evaluation keys.
pub(crate) static TREE: LazyLock<Trained> =
    LazyLock::new(|| Trained::new("dt_bc", |options| options.profile = Profile::Compact));
/// The same tree with decoys: another version, with other specs.
pub(crate) static TREE_2: LazyLock<Trained> = LazyLock::new(|| {
    Trained::new("dt_bc", |options| {
        options.profile = Profile::Compact;
        options.features = FeatureMode::Exact { decoys: 1 };
    })
});
/// The same tree for keys of another parameter set.
pub(crate) static TREE_OF_OTHER_SET: LazyLock<Trained> =
    LazyLock::new(|| Trained::new("dt_bc", |options| options.profile = Profile::Balanced));
/// The same tree without evaluation keys.
pub(crate) static TREE_WITHOUT_KEY: LazyLock<Trained> =
    LazyLock::new(|| Trained::new("dt_bc", |options| options.profile = Profile::Keyless));
/// The same tree for keys of several parts, of which it needs the expansion.
pub(crate) static TREE_OF_WIDE_SET: LazyLock<Trained> = LazyLock::new(|| wide(&["expansion"]));
/// The same, and says that it needs all parts.
pub(crate) static TREE_OF_ALL_PARTS: LazyLock<Trained> =
    LazyLock::new(|| wide(&["expansion", "inverse"]));
/// Boosted trees, whose result has terms for several workers.
pub(crate) static FOREST: LazyLock<Trained> =
    LazyLock::new(|| Trained::new("xgb_bc", |options| options.profile = Profile::Balanced));
/// Logistic regression, without evaluation keys.
pub(crate) static LINEAR: LazyLock<Trained> = LazyLock::new(|| Trained::new("logreg_bc", |_| ()));
/// The tree for keys that pack replies.
pub(crate) static WIDE_TREE: LazyLock<Trained> =
    LazyLock::new(|| Trained::new("dt_bc", |options| options.profile = Profile::Wide));
/// Logistic regression for such keys.
pub(crate) static WIDE_LINEAR: LazyLock<Trained> =
    LazyLock::new(|| Trained::new("logreg_bc", |options| options.profile = Profile::Wide));

/// Trees of one split each, all of other columns: their sum is one step that needs all selectors at
/// once, 90 MB.
pub(crate) static STUMPS: LazyLock<Trained> = LazyLock::new(|| {
    const COLUMNS: usize = 700;
    let list = |of: fn(usize) -> String| (0..COLUMNS).map(of).collect::<Vec<_>>().join(",");
    let trees = list(|column| {
        format!(
            r#"{{"left_children":[1,-1,-1],"right_children":[2,-1,-1],"split_indices":[{column},0,0],"split_conditions":[0.5,-1,1],"default_left":[0,0,0]}}"#
        )
    });
    let model = format!(
        r#"{{"learner":{{"gradient_booster":{{"name":"gbtree","model":{{"tree_info":[{}],"trees":[{trees}]}}}},"learner_model_param":{{"base_score":"0","num_feature":"{COLUMNS}"}},"objective":{{"name":"reg:squarederror"}}}},"version":[2,1,0]}}"#,
        list(|_| "0".into())
    );
    let header = list(|column| format!("x{column}"));
    let rows = [list(|_| "0".into()), list(|_| "1".into())];
    let table = format!("{header}\n{}\n{}\n", rows[0], rows[1]);
    let mut options = Options::new("stumps");
    options.precision = Some(7.0);
    let calibration = Calibration::new("rows", table.as_bytes());
    let compiled = cipherfn_compiler::compile(model.as_bytes(), calibration, &options);
    Trained {
        bundle: compiled.expect("compiles").bundle,
        header,
        rows: rows.to_vec(),
        answers: OnceLock::new(),
    }
});

/// A network of one hidden layer.
static NETWORK: LazyLock<Trained> = LazyLock::new(|| Trained::new("mlp_bc", |_| ()));
/// The same with a bootstrap behind it.
pub(crate) static BOOTSTRAPPED: LazyLock<Trained> =
    LazyLock::new(|| bootstrapped(&["bootstrap-fast", "expansion"]));
/// The same, and its specs do not say so.
pub(crate) static SECRETLY_BOOTSTRAPPED: LazyLock<Trained> =
    LazyLock::new(|| bootstrapped(&["expansion"]));

/// A compiled model with rows and its answers to them.
pub(crate) struct Trained {
    pub(crate) bundle: Bundle,
    header: String,
    rows: Vec<String>,
    answers: OnceLock<Vec<Vec<String>>>,
}

impl Trained {
    fn new(folder: &str, change: impl FnOnce(&mut Options)) -> Self {
        let folder = library_models().join(folder);
        let compiled = compile(&folder, change).unwrap_or_else(|error| panic!("{error}"));
        let test = std::fs::read_to_string(folder.join("test.csv")).expect("rows");
        let mut lines = test.lines().map(str::to_owned);
        Self {
            bundle: compiled.bundle,
            header: lines.next().expect("a header"),
            rows: lines.collect(),
            answers: OnceLock::new(),
        }
    }

    /// The client of this version.
    pub(crate) fn client(&self) -> Arc<Client> {
        Arc::new(Client::from_specs(&self.bundle.specs).expect("specs"))
    }

    /// `count` rows from row `first` on, as CSV; after the last row comes the first one again.
    pub(crate) fn rows(&self, first: usize, count: usize) -> Vec<u8> {
        let rows = self
            .rows
            .iter()
            .cycle()
            .skip(first % self.rows.len())
            .take(count);
        let lines: Vec<&str> = std::iter::once(&self.header)
            .chain(rows)
            .map(String::as_str)
            .collect();
        lines.join("\n").into_bytes()
    }

    /// The answers to the same rows, by the same engine without a service.
    pub(crate) fn answers(&self, first: usize, count: usize) -> Vec<Vec<String>> {
        let answers = self.answers.get_or_init(|| {
            let client = self.client();
            let secret = SecretKey::generate(client.parameter_set()).expect("random bytes");
            let key = (!client.key_parts().is_empty()).then(|| {
                EvaluationKey::generate(&secret)
                    .expect("a key")
                    .to_file_bytes()
            });
            let server = Server::new(
                &cipherfn_engine::bundle::write(&self.bundle).expect("a bundle"),
                key.as_deref(),
            )
            .expect("a server");
            let evaluator = Encrypted {
                client: &client,
                secret: &secret,
                server: &server,
            };
            let answers = predict(&evaluator, &self.rows(0, self.rows.len())).expect("answers");
            cells(answers.as_bytes())
        });
        answers
            .iter()
            .cycle()
            .skip(first % answers.len())
            .take(count)
            .cloned()
            .collect()
    }

    /// Checks answers to rows from row `first` on. Scores may differ by two steps: their noise can
    /// move them over the boundary of one.
    #[track_caller]
    pub(crate) fn check(&self, first: usize, count: usize, found: &[Vec<String>]) {
        let scores = &self.client().specs().specs().decoding.scores.clone();
        let tolerance = scores
            .iter()
            .map(|score| 2.0 * score.precision.get())
            .fold(1e-6, f64::max);
        let expected = self.answers(first, count);
        assert_eq!(found.len(), count);
        for (row, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let close = |(found, expected): (&String, &String)| match (
                found.parse::<f64>(),
                expected.parse::<f64>(),
            ) {
                (Ok(found), Ok(expected)) => (found - expected).abs() <= tolerance.min(0.4),
                _ => found == expected,
            };
            let same = found.len() == expected.len() && found.iter().zip(expected).all(close);
            assert!(same, "row {row}: {found:?} instead of {expected:?}");
        }
    }
}

/// The client of whatever the service offers.
pub(crate) async fn fetch(service: &Service, model: &str) -> Result<Arc<Client>, ServiceError> {
    let directory = tempfile::tempdir().expect("a directory");
    let ring = KeyRing::at(directory.path());
    let fetched = service.client(&name(model), &ring, &Accept::Pinned).await;
    fetched.map(|fetched| fetched.client)
}

/// The tree in the set with several key parts: queries are packed deeper there, and no more.
fn wide(key_parts: &[&str]) -> Trained {
    let mut sets = ParameterSet::all().iter();
    let set = sets.find(|set| set.parts.len() > 1);
    let set = set.expect("a set with several parts");
    let mut trained = Trained::new("dt_bc", |options| options.profile = Profile::Balanced);
    let bundle = &mut trained.bundle;
    let mut specs: serde_json::Value = serde_json::from_slice(&bundle.specs).expect("specs");
    specs["parameter_set"] = serde_json::json!({ "name": set.name, "hash": set.hash() });
    specs["key_parts"] = serde_json::json!(key_parts);
    set.name.clone_into(&mut bundle.circuit.parameter_set);
    specs["circuit"] = serde_json::json!(bundle.circuit.hash().expect("a hash"));
    bundle.specs = serde_json::to_vec(&specs).expect("JSON");
    bundle.specs_v1 = None;
    trained
}

/// The network, its scores looked up once more in the table of z: exact for scores in a quarter of
/// the torus around 0, and that is the range of the calibration rows.
fn bootstrapped(key_parts: &[&str]) -> Trained {
    let mut trained = Trained {
        bundle: NETWORK.bundle.clone(),
        header: NETWORK.header.clone(),
        rows: NETWORK.rows.clone(),
        answers: OnceLock::new(),
    };
    let Bundle { circuit, specs, .. } = &mut trained.bundle;
    let set = ParameterSet::by_name(&circuit.parameter_set).expect("a set");
    let part = set.part("bootstrap-fast").expect("a part");
    let entries = part
        .bootstrap()
        .expect("a bootstrap")
        .output
        .polynomial_size as u64;
    // From 1/4 on, the number is minus a quarter and more, and its value minus that.
    let steps = |at: u64| (2 * at + 1).min(2 * (entries - at) - 1);
    let value = |at| steps(at) << (63 - 1 - entries.ilog2());
    let table = Constant((0..entries).map(|at| (at as u32, value(at))).collect());
    circuit.bootstrap = Some(part.name.to_owned());
    circuit.constants.push(table);
    let table = ConstantId(circuit.constants.len() as u32 - 1);
    let [score] = circuit.outputs.as_mut_slice() else {
        panic!("the network has one score")
    };
    let of = Rotated {
        node: score.node,
        rotation: 0,
    };
    circuit.nodes.push(Node::Bootstrap(Bootstrap { of, table }));
    score.node = NodeId(circuit.nodes.len() as u32 - 1);
    let mut document: serde_json::Value = serde_json::from_slice(specs).expect("specs");
    document["circuit"] = serde_json::json!(circuit.hash().expect("a hash"));
    document["key_parts"] = serde_json::json!(key_parts);
    *specs = serde_json::to_vec(&document).expect("JSON");
    trained.bundle.specs_v1 = None;
    trained
}

/// The library's labels of the network's test rows.
pub(crate) fn labels_of_network() -> Vec<String> {
    let expected = std::fs::read(library_models().join("mlp_bc/expected.csv")).expect("labels");
    let mut reader = csv::Reader::from_reader(expected.as_slice());
    let headers = reader.headers().expect("a header");
    let label = headers.iter().position(|name| name == "label");
    let label = label.expect("a column of labels");
    let rows = reader.records();
    rows.map(|row| row.expect("CSV")[label].to_owned())
        .collect()
}

/// Somebody with keys of their own, at a service.
pub(crate) struct Caller {
    pub(crate) service: Service,
    pub(crate) client: Arc<Client>,
    pub(crate) secret: Arc<SecretKey>,
    pub(crate) ring: KeyRing,
    model: ModelName,
    _directory: TempDir,
}

impl Caller {
    /// Fetches the model's specs and makes keys.
    pub(crate) async fn new(service: Service, model: &str) -> Self {
        let client = fetch(&service, model).await.expect("specs");
        let directory = tempfile::tempdir().expect("a directory");
        let ring = KeyRing::at(directory.path().join("keys"));
        ring.fill(&client, Existing::Keep).expect("keys");
        let secret = Arc::new(
            ring.secret_key(client.parameter_set())
                .expect("the secret key"),
        );
        Self {
            service,
            client,
            secret,
            ring,
            model: name(model),
            _directory: directory,
        }
    }

    /// The same, and registers the key.
    pub(crate) async fn registered(service: Service, model: &str) -> Self {
        let caller = Self::new(service, model).await;
        caller.register().await.expect("registered");
        caller
    }

    pub(crate) async fn register(&self) -> Result<Registered, ServiceError> {
        self.service
            .register(&self.ring, &self.client, |_| ())
            .await
    }

    /// Where the key's expansion stands at the service.
    pub(crate) async fn key_state(&self) -> Result<KeyState, ServiceError> {
        let status = self.service.key_status(self.key()).await?;
        Ok(status.parts["expansion"].state)
    }

    /// Id of the key.
    pub(crate) fn key(&self) -> KeyId {
        self.secret.id()
    }

    /// The evaluation key: its expansion.
    pub(crate) fn evaluation_key(&self) -> EvaluationKey {
        let part = self.client.key_parts()[0];
        let key = self.ring.key_part(self.client.parameter_set(), part);
        key.expect("the key")
    }

    /// The evaluation key's file.
    pub(crate) fn key_file(&self) -> Vec<u8> {
        self.evaluation_key().to_file_bytes()
    }

    /// Predictions of rows, by the service; every row must have one.
    pub(crate) async fn predict(&self, rows: Vec<u8>) -> Result<Vec<Vec<String>>, ServiceError> {
        self.predict_with(&self.client, rows).await
    }

    /// The same with the client of another version.
    pub(crate) async fn predict_with(
        &self,
        client: &Arc<Client>,
        rows: Vec<u8>,
    ) -> Result<Vec<Vec<String>>, ServiceError> {
        self.send(&self.model, client, rows).await
    }

    /// The same by another model, for which the client is.
    pub(crate) async fn predict_of(
        &self,
        model: &str,
        rows: Vec<u8>,
    ) -> Result<Vec<Vec<String>>, ServiceError> {
        self.send(&name(model), &self.client, rows).await
    }

    async fn send(
        &self,
        model: &ModelName,
        client: &Arc<Client>,
        rows: Vec<u8>,
    ) -> Result<Vec<Vec<String>>, ServiceError> {
        let rows = cipherfn_tests::input_rows(client, Cursor::new(rows));
        let rows = rows.unwrap_or_else(|error: TableError| panic!("{error}"));
        let mut answers = Vec::new();
        let take = |more| {
            answers.extend(more);
            Ok::<_, ServiceError>(())
        };
        let rows = rows.map(|row| Ok(row.expect("a row")));
        self.service
            .predict(model, client, &self.ring, rows, take)
            .await?;
        let csv = cipherfn_tests::predictions(client, &answers).expect("predictions");
        Ok(cells(csv.as_bytes()))
    }

    /// Rows encrypted as one query.
    pub(crate) fn query(&self, rows: &[u8]) -> Vec<u8> {
        let rows = cipherfn_tests::input_rows(&self.client, rows).expect("rows");
        let mut query = Vec::new();
        self.client
            .encrypt::<Box<dyn Error>>(&self.secret, rows, &mut query, |_| ())
            .expect("a query");
        query
    }

    /// Decrypts a reply.
    pub(crate) fn open(&self, reply: &[u8]) -> Vec<Vec<String>> {
        cells(
            cipherfn_tests::decrypt(&self.client, &self.secret, reply)
                .expect("a reply")
                .as_bytes(),
        )
    }
}

fn cells(predictions: &[u8]) -> Vec<Vec<String>> {
    let mut reader = csv::Reader::from_reader(predictions);
    let rows = reader
        .records()
        .map(|row| row.expect("CSV").iter().map(str::to_owned).collect());
    rows.collect()
}
