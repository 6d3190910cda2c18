//! Sums of owners by a service: two tenants contribute by grants, the key holder takes the total.

use crate::service::Dev;
use crate::support::{Sandbox, failure, success, usage};
use serde_json::Value;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

const SPEC: &str = "format = 1\nname = \"stay\"\nrows = 1000\n[[column]]\nname = \"age\"\nlow = 0\nhigh = 120\n[[column]]\nname = \"pulse\"\nlow = 30\nhigh = 220\n[target]\nname = \"days\"\nlow = 0\nhigh = 60\n";
const SOLD: &str = "format = 1\nname = \"sold\"\n[[column]]\nname = \"sku\"\ntype = \"integer\"\nmin = 1\nmax = 12\n[[column]]\nname = \"amount\"\ntype = \"decimal\"\nplaces = 2\nmin = 0.00\nmax = 2.55\nlimb-bits = 1\n[[lookup]]\nby = [\"sku\"]\ncolumns = [\"amount\"]\nduplicates = \"sum\"\n";
const TENANTS: &str = r#"{"tenants": [{"name": "alice", "token": "a-token"}, {"name": "bob", "token": "b-token"}, {"name": "carol", "token": "c-token"}, {"name": "dave", "token": "d-token"}]}"#;

/// A service with a program of a spec, and callers of it.
struct Tenants {
    sandbox: Sandbox,
    dev: Dev,
}

impl Tenants {
    fn new(name: &str, text: &str) -> Self {
        let sandbox = Sandbox::new();
        sandbox.write("tenants.json", TENANTS);
        for caller in ["a", "b", "c", "d"] {
            sandbox.write(caller, &format!("{caller}-token\n"));
        }
        sandbox.write("spec.toml", text);
        let program = "program.cfn";
        success(&sandbox.run(&["compile-training", "spec.toml", "-o", program]));
        let publish = format!("{name}={program}");
        let publish = ["--publish", &publish, "--tenants", "tenants.json"];
        let dev = Dev::start(&sandbox, &publish);
        Self { sandbox, dev }
    }

    fn arguments<'a>(&'a self, caller: &'a str, command: &[&'a str]) -> Vec<&'a str> {
        let whose = ["--service", &self.dev.url, "--token-file", caller];
        [command, &whose].concat()
    }

    fn ask(&self, caller: &str, command: &[&str]) -> Value {
        let command = [command, &["--json"]].concat();
        let output = self.sandbox.run(&self.arguments(caller, &command));
        serde_json::from_str(&success(&output)).unwrap()
    }

    /// Grants an owner its contribution, and has it contribute: once, whoever asks again.
    fn contribute(&self, total: &str, owner: &str, caller: &str) {
        let (grant, input) = (format!("{owner}.grant"), format!("{owner}.csv"));
        let give = ["joint", "grant", total, "--key", "public.cfu", "-o", &grant];
        self.ask("a", &give);
        let add = [
            "joint",
            "add",
            "--grant",
            &grant,
            "--key",
            "public.cfu",
            "--input",
            &input,
        ];
        let many = [&add[..], &["--least-owners", "3"]].concat();
        let many = self.refused(caller, &many);
        assert!(many.contains("a total of 2 owners at least"), "{many}");
        let few = ["joint", "total", total, "-o", "few.cft"];
        let few = self.refused("a", &few);
        assert!(few.contains("contributed"), "{few}");
        let added = self.ask(caller, &[&add[..], &["--least-owners", "2"]].concat());
        assert_eq!(
            (&added["sums_of_rows"], &added["least_owners"]),
            (&4.into(), &2.into())
        );
        let again = self.refused(caller, &add);
        assert!(
            again.contains("you have contributed to this total before, and nothing was sent"),
            "{again}"
        );
        let others = self.refused("d", &add);
        assert!(
            others.contains("another tenant has contributed"),
            "{others}"
        );
        let more = self.arguments(caller, &[&add[..], &["--more"]].concat());
        let more = usage(&self.sandbox.run(&more));
        assert!(more.contains("contributes to a total once"), "{more}");
    }

    /// Takes a total by a command that is interrupted when it has written the total and deleted the job; then says
    /// what is so, and ends the rest.
    fn take_interrupted(&self, total: &str, output: &str) {
        let url = breaking_at(&self.dev.url, "DELETE /v2/trainings/");
        let take = ["joint", "total", total, "--token-file", "a"];
        let interrupted = [&take[..], &["--service", &url, "-o", output]].concat();
        let interrupted = failure(&self.sandbox.run(&interrupted));
        let delete = format!("cipherfn joint delete {total}");
        for expected in ["total.cft is whole", &delete] {
            assert!(interrupted.contains(expected), "{interrupted}");
        }
        let again = ["joint", "total", total, "-o", "again.cft"];
        let again = self.refused("a", &again);
        for expected in ["no longer at the service", &delete] {
            assert!(again.contains(expected), "{again}");
        }
        assert!(!self.sandbox.path("again.cft").exists());
        self.ask("a", &["joint", "delete", total]);
    }

    fn refused(&self, caller: &str, command: &[&str]) -> String {
        failure(&self.sandbox.run(&self.arguments(caller, command)))
    }
}

#[test]
fn owners_of_other_tenants_contribute_to_a_total() {
    let all = Tenants::new("stay", SPEC);
    let sandbox = &all.sandbox;
    sandbox.write(
        "north.csv",
        "age,pulse,days\n34,71,3\n58,90,9\n71,66,8\n45,80,5\n",
    );
    sandbox.write(
        "south.csv",
        "age,pulse,days\n29,102,7\n63,75,8\n80,99,14\n51,64,4\n",
    );
    let declare = ["joint", "declare", "--program", "stay", "--keys", "keys"];
    let declared = all.ask("a", &[&declare[..], &["-o", "public.cfu"]].concat());
    assert_eq!(declared["least_owners"], 2);
    let total = declared["training"].as_str().unwrap();
    for (owner, caller) in [("north", "b"), ("south", "c")] {
        all.contribute(total, owner, caller);
    }
    let shown = all.ask("a", &["joint", "show", total]);
    assert_eq!(shown["owners"].as_array().unwrap().len(), 2);
    for grant in shown["grants"].as_array().unwrap() {
        assert_eq!(grant["objects_used"], 1, "what was refused was not sent");
    }
    assert_eq!(
        all.ask("a", &["joint", "list"])["trainings"][0]["least_owners"],
        2
    );
    let list = success(&sandbox.run(&all.arguments("a", &["joint", "list"])));
    assert!(
        list.contains("2 contributions, a total of 2 owners at least"),
        "{list}"
    );
    let train = [
        "train",
        "--program",
        "stay",
        "--keys",
        "keys",
        "--joint",
        total,
    ];
    let train = all.refused("a", &[&train[..], &["-o", "no.onnx"]].concat());
    assert!(train.contains("cipherfn joint total"), "{train}");

    all.take_interrupted(total, "total.cft");
    let gone = all.refused("a", &["joint", "show", total]);
    assert!(gone.contains("you have no training"), "{gone}");

    // The same as of the files, added here.
    for owner in ["north", "south"] {
        let (input, output) = (format!("{owner}.csv"), format!("{owner}.cft"));
        let own = [
            "statistics",
            "contribute",
            "--spec",
            "program.cfn",
            "--key",
            "public.cfu",
        ];
        let own = [&own[..], &["--input", &input, "-o", &output]].concat();
        success(&sandbox.run(&own));
    }
    let add = [
        "statistics",
        "add",
        "--spec",
        "spec.toml",
        "north.cft",
        "south.cft",
    ];
    success(&sandbox.run(&[&add[..], &["-o", "here.cft"]].concat()));
    let means = ["total.cft", "here.cft"].map(|file| {
        let show = [
            "statistics",
            "show",
            "--spec",
            "program.cfn",
            "--keys",
            "keys",
        ];
        let shown = success(&sandbox.run(&[&show[..], &["--input", file]].concat()));
        let numbers = shown
            .lines()
            .skip(1)
            .flat_map(|line| line.split(',').skip(1));
        numbers
            .map(|cell| cell.parse::<f64>().unwrap())
            .collect::<Vec<_>>()
    });
    assert_eq!(means[0].len(), means[1].len());
    for (one, other) in means[0].iter().zip(&means[1]) {
        assert!((one - other).abs() < 1e-5, "{means:?}");
    }
    assert_eq!(means[0][0].to_bits(), 8.0_f64.to_bits(), "rows");
    let fit = [
        "statistics",
        "fit",
        "ridge",
        "--penalty",
        "10",
        "--spec",
        "spec.toml",
    ];
    let fit = [
        &fit[..],
        &["--keys", "keys", "--input", "total.cft", "-o", "model.onnx"],
    ]
    .concat();
    success(&sandbox.run(&fit));
    assert!(sandbox.path("model.onnx").exists());
}

/// An address of a service at which a connection breaks when a request begins so.
fn breaking_at(url: &str, request: &'static str) -> String {
    let service = url.trim_start_matches("http://").trim_end_matches('/');
    let service = service.to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let here = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for caller in listener.incoming().flatten() {
            let service = service.clone();
            thread::spawn(move || forward(caller, &service, request.as_bytes()));
        }
    });
    here
}

fn forward(mut caller: TcpStream, service: &str, request: &[u8]) -> io::Result<()> {
    let mut service = TcpStream::connect(service)?;
    let (mut answers, mut back) = (service.try_clone()?, caller.try_clone()?);
    thread::spawn(move || io::copy(&mut answers, &mut back));
    let mut bytes = [0; 1 << 14];
    loop {
        let read = caller.read(&mut bytes)?;
        if read == 0 || bytes[..read].starts_with(request) {
            caller.shutdown(Shutdown::Both)?;
            return service.shutdown(Shutdown::Both);
        }
        service.write_all(&bytes[..read])?;
    }
}

/// The same of sums by the keys of a frame: exact, and the same as of files.
#[test]
fn sums_by_key_are_added_by_a_service() {
    let all = Tenants::new("sold", SOLD);
    let sandbox = &all.sandbox;
    sandbox.write("north.csv", "sku,amount\n7,1.50\n7,0.25\n12,2.55\n");
    sandbox.write("south.csv", "amount,sku,place\n2.00,7,a\n0.01,3,b\n");
    let declare = ["joint", "declare", "--program", "sold", "--keys", "keys"];
    let declared = all.ask("a", &[&declare[..], &["-o", "public.cfu"]].concat());
    let total = declared["training"].as_str().unwrap();
    for (owner, caller, rows) in [("north", "b", 3), ("south", "c", 2)] {
        let (grant, input) = (format!("{owner}.grant"), format!("{owner}.csv"));
        let give = ["joint", "grant", total, "--key", "public.cfu", "-o", &grant];
        all.ask("a", &give);
        let add = ["joint", "add", "--grant", &grant, "--key", "public.cfu"];
        let added = all.ask(caller, &[&add[..], &["--input", &input]].concat());
        assert_eq!(added["sums_of_rows"], rows);
    }
    let take = ["joint", "total", total, "-o", "total.cff"];
    assert_eq!(all.ask("a", &take)["owners"], 2);
    let decrypt = ["frame", "decrypt", "--keys", "keys", "-o", "-", "--input"];
    let whole = success(&sandbox.run(&[&decrypt[..], &["total.cff"]].concat()));
    assert_eq!(whole, "sku,rows,amount\n3,1,0.01\n7,3,3.75\n12,1,2.55\n");
}
