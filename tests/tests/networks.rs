//! Networks and kernel machines, really encrypted: packed bits, look-ups, bootstraps, sums in one
//! reply.

use cipherfn_client::Client;
use cipherfn_program::Tensor;
use cipherfn_scheme::{EvaluationKey, SecretKey};
use cipherfn_tests::{Encrypted, Evaluator, Result, Server, compile, input_rows, library_models};
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
}

/// Sends the first test rows through client and server.
fn found(name: &str, rows: usize) -> Result<Found> {
    let folder = library_models().join(name);
    let compiled = compile(&folder, |_| ())?;
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
    let encrypted = Encrypted {
        client: &client,
        secret: &secret,
        server: &server,
    };
    let text = std::fs::read(folder.join("test.csv"))?;
    let taken = input_rows::<Box<dyn Error>, _>(&client, text.as_slice())?.take(rows);
    let taken = taken.collect::<Result<Vec<_>>>()?;
    let start = Instant::now();
    let reply = encrypted.reply(taken)?;
    let seconds = start.elapsed().as_secs_f64();
    let mut answers = Vec::new();
    client.decrypt(&secret, None, reply.as_slice(), |more| {
        answers.extend(more);
        Ok::<_, Box<dyn Error>>(())
    })?;
    let expected = std::fs::read_to_string(folder.join("expected.csv"))?;
    let mut lines = expected
        .lines()
        .map(|line| line.split(',').collect::<Vec<_>>());
    let header = lines.next().ok_or("a header")?;
    let label = header.iter().position(|name| *name == "label");
    let mut found = Found {
        rows: answers.len(),
        remarked: 0,
        labels: 0,
        seconds,
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
            "{name}: {} of {} labels, {} rows with a feature outside its range, {each:.3} s a row",
            found.labels, found.rows, found.remarked
        );
        assert!(1000 * found.labels >= 985 * found.rows, "{name}");
    }
    Ok(())
}
