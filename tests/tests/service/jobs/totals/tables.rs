//! Totals of sums by the keys of a frame.

use super::super::Requests;
use super::super::joint::add;
use super::{Holder, stack};
use crate::jobs::training::set;
use cipherfn_client::frames::{OwnerSums, decrypt_total};
use cipherfn_client_http::OwnSums;
use cipherfn_frame::answer::Cell;
use cipherfn_frame::file::{FrameReader, FrameWriter};
use cipherfn_frame::schema::Schema;
use cipherfn_protocol::api::ProblemType;
use cipherfn_protocol::hash::Hash;
use cipherfn_scheme::SecretKey;
use cipherfn_scheme::public::PublicKey;
use cipherfn_serving::frames::FrameTotal;

fn schema(name: &str) -> Schema {
    let text = format!(
        "format = 1\nname = \"{name}\"\n[[column]]\nname = \"sku\"\ntype = \"integer\"\nmin = 1\nmax = 12\n[[column]]\nname = \"amount\"\ntype = \"integer\"\nmin = 0\nmax = 255\nlimb-bits = 1\n[[lookup]]\nby = [\"sku\"]\ncolumns = [\"amount\"]\nduplicates = \"sum\"\n"
    );
    let schema = Schema::from_toml(&text).expect("a schema");
    schema.summed(1).expect("of sums")
}

/// An owner's rows: articles and amounts.
fn rows(owner: i64) -> Vec<(i64, i64)> {
    let row = |number: i64| (1 + (number * 5 + owner) % 7, (number * 37 + owner) % 256);
    (0..20).map(row).collect()
}

fn encrypted(schema: &Schema, public: &PublicKey, owner: i64) -> Vec<u8> {
    let mut sums = OwnerSums::new(schema).expect("sums");
    for (number, (sku, amount)) in rows(owner).into_iter().enumerate() {
        let cells = [sku.to_string(), amount.to_string()];
        let row = schema.row_of_texts(number as u64 + 1, cells.iter().map(String::as_str));
        sums.add(&row.expect("a row")).expect("added");
    }
    sums.encrypt(public).expect("encrypted")
}

/// What all owners have, by article: rows and the sum of amounts.
fn pooled(owners: &[i64]) -> Vec<Vec<i128>> {
    let rows: Vec<(i64, i64)> = owners.iter().flat_map(|owner| rows(*owner)).collect();
    let of = |sku: i64| {
        let amounts = rows.iter().filter(|row| row.0 == sku).map(|row| row.1);
        let (count, sum) = (amounts.clone().count(), amounts.sum::<i64>());
        (count > 0).then(|| vec![sku.into(), count as i128, sum.into()])
    };
    (1..=12).filter_map(of).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn owners_sums_by_key_are_added_by_a_service() {
    let schema = schema("sold");
    let json = schema.to_json().expect("JSON");
    let stack = stack("sold", &json).await;
    let alice = Holder::new(&stack, "sold", Hash::of(&json)).await;
    refuses_others(&alice, &schema).await;
    for (number, token) in [(1, "bob-token"), (2, "carol-token")] {
        let grant = alice.grant(number, |_| ()).await;
        let own = OwnSums {
            program: Hash::of(&json),
            key: alice.secret.id(),
            rows: 20,
            file: encrypted(&schema, &alice.public, number.into()).into(),
        };
        let owner = stack.service_of(token);
        owner.add_sums(&grant, &own).await.expect("added");
    }
    let status = alice.status().await;
    let (job, total) = alice.service.total(&status).await.expect("a total");
    let file = FrameReader::open(&total[..]).expect("a frame");
    assert_eq!(file.head().schema.owners(), Some(2));
    let table = decrypt_total(&alice.secret, file.head(), file.tables()).expect("decrypted");
    let units = |cell: &Cell| match cell {
        Cell::Number { units, .. } => *units,
        other => panic!("{other:?}"),
    };
    let found = table.rows.iter();
    let found = found.map(|row| row.iter().map(units).collect());
    assert_eq!(found.collect::<Vec<Vec<i128>>>(), pooled(&[1, 2]));
    alice.service.delete_job(job).await.expect("deleted");
}

/// What is no owner's sums by the schema never is in the total.
async fn refuses_others(alice: &Holder<'_>, schema: &Schema) {
    let bob = Requests {
        stack: alice.requests.stack,
        token: "bob-token",
    };
    let sound = encrypted(schema, &alice.public, 1);
    let other_schema = self::schema("bought");
    let other = SecretKey::generate(set()).expect("a key");
    let other = PublicKey::generate(&other).expect("a public key");
    let mut two = FrameTotal::default();
    for owner in [1, 2] {
        let file = encrypted(schema, &alice.public, owner);
        two.add(&FrameReader::open(&file[..]).expect("a frame"))
            .expect("added");
    }
    let (head, tables) = two.finish().expect("a total");
    let mut writer = FrameWriter::new(Vec::new(), &head, &[]).expect("a head");
    writer.tables(&tables).expect("tables");
    for (number, (file, expected)) in (10..).zip([
        (
            encrypted(&other_schema, &alice.public, 1),
            "by another schema",
        ),
        (encrypted(schema, &other, 1), "is encrypted for key"),
        (
            writer.finish().expect("a frame"),
            "not the sums of one owner",
        ),
        (sound[..sound.len() - 1].to_vec(), "chunk 0: "),
        (b"no frame".to_vec(), "chunk 0: "),
    ]) {
        let grant = alice.grant(number, |_| ()).await;
        let refused = add(&bob, &grant, &[file]).await.expect_err(expected);
        assert_eq!(refused.kind, ProblemType::MalformedRows, "{expected}");
        assert!(refused.detail.contains(expected), "{expected}: {refused:?}");
        assert!(alice.revoke(&grant).await.owners.is_empty());
    }
}
