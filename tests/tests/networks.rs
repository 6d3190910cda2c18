//! Networks and kernel machines, really encrypted: packed bits, look-ups, bootstraps, sums in one
//! reply.

use cipherfn_client::{Answer, Client, InputRow};
use cipherfn_program::Tensor;
use cipherfn_protocol::message::{Chunks, ReplyChunk};
use cipherfn_protocol::specs::Encoding;
use cipherfn_scheme::{EvaluationKey, SecretKey};
use cipherfn_tests::{
    Clear, Encrypted, Evaluator, Result, Server, compile, input_rows, library_models,
};
use std::error::Error;
use std::time::Instant;

/// What the encrypted rows of a model gave.
struct Found {
    rows: usize,
    /// Rows of which a feature was outside its range: said, and answered all the same.
    remarked: usize,
    /// Rows with the library's label, or largest score.
    labels: usize,
    seconds: f64,
    /// Standard deviation of the replies' coefficients from the circuit's in the clear, and the largest
    /// difference, as fractions of the torus. A number that went around its table would be off by a part of it.
    noise: f64,
    largest: f64,
    /// The report's, of its noisiest coefficient.
    predicted: f64,
}

/// A compiled model with keys, on both sides.
struct Both {
    client: Client,
    secret: SecretKey,
    server: Server,
    bundle: Vec<u8>,
    predicted: f64,
}

impl Both {
    fn of(name: &str) -> Result<Self> {
        let compiled = compile(&library_models().join(name), |_| ())?;
        let client = Client::new(compiled.specs.clone())?;
        let secret = SecretKey::generate(client.parameter_set())?;
        let key = EvaluationKey::generate(&secret)?.to_file_bytes();
        // Networks with several layers have bootstraps.
        let parts = client.key_parts().iter().map(|part| part.name);
        let parts = parts
            .filter(|name| *name != "expansion")
            .map(|name| Ok(EvaluationKey::generate_part(&secret, name)?.to_file_bytes()));
        let parts = parts.collect::<Result<Vec<_>>>()?;
        let bundle = cipherfn_engine::bundle::write(&compiled.bundle)?;
        let server = Server::new(&bundle, Some(&key))?.with_parts(&parts)?;
        Ok(Self {
            client,
            secret,
            server,
            bundle,
            predicted: compiled.report.precision.noise_deviation,
        })
    }

    /// The first test rows.
    fn rows(&self, name: &str, count: usize) -> Result<Vec<InputRow>> {
        let text = std::fs::read(library_models().join(name).join("test.csv"))?;
        let rows = input_rows::<Box<dyn Error>, _>(&self.client, text.as_slice())?;
        rows.take(count).collect()
    }

    /// The server's reply.
    fn reply(&self, rows: Vec<InputRow>) -> Result<Vec<u8>> {
        let Self {
            client,
            secret,
            server,
            ..
        } = self;
        let encrypted = Encrypted {
            client,
            secret,
            server,
        };
        encrypted.reply(rows)
    }

    /// What a reply to these rows says.
    fn answers(&self, rows: &[InputRow], reply: &[u8]) -> Result<Vec<Answer>> {
        let mut answers = Vec::new();
        self.client.decrypt(&self.secret, None, reply, |more| {
            answers.extend(more);
            Ok::<_, Box<dyn Error>>(())
        })?;
        let answers = answers.into_iter().zip(self.client.encode(rows).marks);
        let answers = answers.map(|(answer, mark)| answer.marked(mark));
        Ok(answers.collect())
    }

    /// Standard deviation of a reply's coefficients from what the circuit gives in the clear, and the largest
    /// difference.
    fn noise(&self, rows: &[InputRow], reply: &[u8]) -> Result<(f64, f64)> {
        let clear = Clear::new(&self.client, &self.secret, &self.bundle)?;
        let mut rows = rows.iter();
        let (mut sum, mut count, mut largest) = (0.0, 0, 0.0_f64);
        for chunk in Chunks::<_, ReplyChunk>::new(reply) {
            for phases in clear.decrypt(&chunk?.1)? {
                let exact = clear.results(rows.next().ok_or("a row for each answer")?)?;
                assert_eq!(phases.len(), exact.len());
                for (phase, exact) in phases.into_iter().zip(exact) {
                    let error = phase.wrapping_sub(exact as i64) as f64 / 64_f64.exp2();
                    sum += error * error;
                    count += 1;
                    largest = largest.max(error.abs());
                }
            }
        }
        Ok(((sum / f64::from(count)).sqrt(), largest))
    }
}

/// Sends the first test rows through client and server.
fn found(name: &str, rows: usize) -> Result<Found> {
    let folder = library_models().join(name);
    let both = Both::of(name)?;
    let rows = both.rows(name, rows)?;
    let copies: Vec<InputRow> = rows.clone();
    let start = Instant::now();
    let reply = both.reply(copies)?;
    let seconds = start.elapsed().as_secs_f64();
    let answers = both.answers(&rows, &reply)?;
    let expected = std::fs::read_to_string(folder.join("expected.csv"))?;
    let mut lines = expected
        .lines()
        .map(|line| line.split(',').collect::<Vec<_>>());
    let header = lines.next().ok_or("a header")?;
    let label = header.iter().position(|name| *name == "label");
    let (noise, largest) = both.noise(&rows, &reply)?;
    let mut found = Found {
        rows: answers.len(),
        remarked: 0,
        labels: 0,
        seconds,
        noise,
        largest,
        predicted: both.predicted,
    };
    for (answer, wanted) in answers.iter().zip(lines) {
        found.remarked += usize::from(answer.remark.is_some());
        let prediction = answer.prediction.as_ref().ok_or("a row failed")?;
        let own = match &prediction.outputs[0] {
            Tensor::F32(scores) if scores.len() > 1 => {
                let larger = |best: usize, own: usize| {
                    if scores[own] > scores[best] {
                        own
                    } else {
                        best
                    }
                };
                (0..scores.len()).fold(0, larger).to_string()
            }
            first => first.to_texts()[0].clone(),
        };
        found.labels += usize::from(label.is_none_or(|place| wanted[place] == own));
    }
    Ok(found)
}

#[test]
fn encrypted_networks_give_the_librarys_labels() -> Result<()> {
    for (name, rows) in [
        ("mlp_bc", 8),
        ("torch_cnn_digits", 8),
        ("mlp_two_layers_bc", 4),
        ("mlp_three_layers_wine", 2),
    ] {
        let found = found(name, rows)?;
        assert_eq!((found.rows, found.labels), (rows, rows), "{name}");
        // The prediction is that of the noisiest row; tens of errors of one key are not far beyond.
        assert!(found.noise < 2.0 * found.predicted, "{name}");
    }
    Ok(())
}

/// Values outside the range are limited to it, which the answer says; a row without a value has no
/// answer, and takes none from its neighbours.
#[test]
fn rows_outside_the_range_are_marked() -> Result<()> {
    let name = "mlp_bc";
    let both = Both::of(name)?;
    let specs = both.client.specs().specs();
    let Some(Encoding::Integers(encoding)) = specs.inputs.first() else {
        panic!("bits of integers")
    };
    let own = encoding.features.iter().max_by_key(|own| own.bits).unwrap();
    let sound = both.rows(name, 1)?.remove(0)?;
    let with = |value: f32| -> InputRow {
        let mut row = sound.clone();
        let Tensor::F32(values) = &mut row[0] else {
            panic!("one tensor of all columns")
        };
        values[own.feature as usize] = value;
        Ok(row)
    };
    // The largest value that is no limit, in front of what is limited to it.
    let inside = (own.low + own.step * (f64::from(own.bits).exp2() - 1.0)) as f32;
    let values = [inside, 1e6, f32::INFINITY, f32::NAN];
    let rows = values.map(with).to_vec();
    let answers = both.answers(&rows, &both.reply(rows.clone())?)?;
    let score = |answer: &Answer| answer.prediction.as_ref().map(|own| own.scores[0]);
    let wanted = score(&answers[0]).unwrap();
    assert_eq!(answers[0].remark, None);
    for (answer, value) in answers[1..3].iter().zip(["1000000", "inf"]) {
        let remark = answer.remark.as_deref().unwrap_or_default();
        assert!(
            remark.contains(&format!("{:?} is {value}", own.name)),
            "{remark}"
        );
        assert!(remark.contains("limited to the range"), "{remark}");
        let off = (score(answer).unwrap() - wanted).abs();
        let precision = specs.decoding.scores[0].precision.get();
        assert!(off <= 2.0 * precision, "{off}");
    }
    assert_eq!(score(&answers[3]), None);
    let remark = answers[3].remark.as_deref().unwrap_or_default();
    assert!(
        remark.contains(&own.name) && remark.contains("missing"),
        "{remark}"
    );
    Ok(())
}

/// All test rows of regressors, neighbours and centres, for the figures of docs/benchmarks.md.
#[test]
#[ignore = "minutes of look-ups"]
fn encrypted_numbers_on_all_rows() -> Result<()> {
    for name in [
        "mlp100_diabetes",
        "svr_rbf_diabetes",
        "gpr_diabetes",
        "kmeans_iris",
        "knn_iris",
        "knnreg_diabetes",
    ] {
        let both = Both::of(name)?;
        let rows = both.rows(name, usize::MAX)?;
        let start = Instant::now();
        let reply = both.reply(rows.clone())?;
        let seconds = start.elapsed().as_secs_f64() / rows.len() as f64;
        let expected = std::fs::read_to_string(library_models().join(name).join("expected.csv"))?;
        let last = |line: &str| line.rsplit(',').next().unwrap_or_default().parse::<f64>();
        let expected = expected.lines().skip(1).map(last);
        let expected = expected.collect::<std::result::Result<Vec<_>, _>>()?;
        let range = expected.iter().copied().fold(f64::MIN, f64::max)
            - expected.iter().copied().fold(f64::MAX, f64::min);
        let (mut remarked, mut squares, mut largest, mut same) = (0, 0.0, 0.0_f64, 0);
        for (answer, wanted) in both.answers(&rows, &reply)?.iter().zip(expected) {
            if answer.remark.is_some() {
                remarked += 1;
                continue;
            }
            let prediction = answer.prediction.as_ref().ok_or("a row failed")?;
            let off = (prediction.outputs[0].to_texts()[0].parse::<f64>()? - wanted).abs() / range;
            squares += off * off;
            largest = largest.max(off);
            same += usize::from(off == 0.0);
        }
        let (noise, worst) = both.noise(&rows, &reply)?;
        let within = rows.len() - remarked;
        println!(
            "{name}: {within} rows inside the features' ranges of {}, {seconds:.3} s a row, {same} as the \
             library has them, off by {:.2} % of the range (root mean square), {:.2} % at most; noise 2^{:.2}, \
             2^{:.2} at most, predicted 2^{:.2}",
            rows.len(),
            100.0 * (squares / within as f64).sqrt(),
            100.0 * largest,
            noise.log2(),
            worst.log2(),
            both.predicted.log2()
        );
        assert!(squares / (within as f64) < 0.02 * 0.02, "{name}");
    }
    Ok(())
}

/// All test rows, for the figures of docs/benchmarks.md.
#[test]
#[ignore = "minutes of look-ups"]
fn encrypted_networks_on_all_rows() -> Result<()> {
    for name in [
        "mlp_bc",
        "mlp100_bc",
        "torch_mlp_digits",
        "torch_cnn_digits",
        "svc_rbf_bc",
        "mlp_two_layers_bc",
        "mlp_three_layers_wine",
        "torch_30_30_30_2_bc",
        "torch_residual_wine",
    ] {
        let found = found(name, usize::MAX)?;
        let each = found.seconds / found.rows as f64;
        println!(
            "{name}: {} of {} labels, {} rows with a feature outside its range, {each:.3} s a row, \
             off by 2^{:.2} at most, noise 2^{:.2}, predicted 2^{:.2}",
            found.labels,
            found.rows,
            found.remarked,
            found.largest.log2(),
            found.noise.log2(),
            found.predicted.log2()
        );
        assert!(1000 * found.labels >= 985 * found.rows, "{name}");
    }
    Ok(())
}
