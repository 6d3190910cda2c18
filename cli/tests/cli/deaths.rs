//! Tables in bulk while the command, the service and its functions are killed, as the kernel does it:
//! whoever comes next goes on, and every row is answered once.

use crate::bulk::predict;
use crate::service::{Dev, rows};
use crate::support::{Sandbox, compiled};
use std::io::Read;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const ROWS: usize = 1_000;
const ROWS_A_CHUNK: &str = "25";
/// Deaths of a campaign.
const DEATHS: usize = 50;
/// Longest wait for something that must come.
const PATIENCE: Duration = Duration::from_mins(2);

/// A service at one address however often it starts, and a table with the labels of its rows.
struct Scoring {
    sandbox: Sandbox,
    ports: [String; 2],
    expected: Vec<String>,
}

impl Scoring {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        let table = rows("dt_bc", ROWS);
        let (header, table) = table.split_once('\n').unwrap();
        let table = table.lines().cycle().take(ROWS);
        let lines: Vec<_> = std::iter::once(header).chain(table).collect();
        sandbox.write("rows.csv", &format!("{}\n", lines.join("\n")));
        sandbox.predict_here(compiled("dt_bc"));
        let expected = sandbox.labels("local.csv");
        assert_eq!(expected.len(), ROWS + 1);
        Self {
            sandbox,
            ports: free_ports(),
            expected,
        }
    }

    /// The service for the first time.
    fn publish(&self) -> Dev {
        self.serve(&["--publish", &format!("tree={}", compiled("dt_bc"))])
    }

    fn serve(&self, more: &[&str]) -> Dev {
        let [port, s3_port] = &self.ports;
        let more = [&["--s3-port", s3_port], more].concat();
        Dev::start_at(&self.sandbox, port, &more)
    }

    /// Begins a run, which goes on with what the one before it has left.
    fn run(&self, dev: &Dev) -> Child {
        let bulk = ["--bulk", "--rows-a-chunk", ROWS_A_CHUNK, "--force"];
        let mut run = self
            .sandbox
            .command(&[&predict(&dev.url)[..], &bulk].concat());
        run.stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        run.spawn().unwrap()
    }

    /// Whole lines of what is remembered.
    fn remembered(&self) -> String {
        let path = self.sandbox.path("found.csv.job");
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text[..text.rfind('\n').map_or(0, |end| end + 1)].to_owned()
    }

    /// Kills a run once it remembers more than before.
    fn kill_beyond(&self, mut run: Child, before: &str) -> String {
        wait_until("more is remembered", || {
            chunks(&self.remembered()) > chunks(before)
        });
        run.kill().unwrap();
        run.wait().unwrap();
        self.remembered()
    }

    /// Every row has its label, in the order of the rows, and nothing is left to go on with.
    fn check(&self) {
        assert_eq!(self.sandbox.labels("found.csv"), self.expected);
        assert!(!self.sandbox.path("found.csv.job").exists());
    }
}

/// Ports that nobody gets by chance while nobody listens there: below those that systems give out.
fn free_ports() -> [String; 2] {
    let first = 12_000 + std::process::id() % 10_000;
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let mut free = (first as u16..32_000).filter(is_free);
    let mut next = || free.next().unwrap().to_string();
    [next(), next()]
}

fn chunks(remembered: &str) -> usize {
    let is_chunk = |line: &&str| line.starts_with("{\"chunk\":");
    remembered.lines().filter(is_chunk).count()
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Processes of a service's function, or of all of them where none is named.
fn functions(service: u32, name: &str) -> Vec<String> {
    let listed = Command::new("ps")
        .args(["-A", "-o", "pid=,ppid=,args="])
        .output();
    let listed = String::from_utf8(listed.unwrap().stdout).unwrap();
    let (service, end) = (service.to_string(), format!(" function {name}"));
    let of_function = |line: &str| {
        let mut fields = line.split_whitespace();
        let (process, parent) = (fields.next()?, fields.next()?);
        let is_one = parent == service && line.contains(&end);
        is_one.then(|| process.to_owned())
    };
    listed.lines().filter_map(of_function).collect()
}

/// Whether a process is there; one that has ended and that nobody has asked about is not.
fn lives(process: &str) -> bool {
    let state = Command::new("ps")
        .args(["-o", "stat=", "-p", process])
        .output();
    let state = String::from_utf8(state.unwrap().stdout).unwrap();
    !matches!(state.trim().chars().next(), None | Some('Z'))
}

fn kill(process: &str) {
    // It may have ended by itself.
    Command::new("kill").args(["-9", process]).status().unwrap();
}

/// A command is killed as soon as something has arrived, and again; then the service, as soon as more
/// has, under a command that goes on by itself or is called once more.
#[test]
fn commands_and_services_that_are_killed_go_on() {
    let scoring = Scoring::new();
    let dev = scoring.publish();
    let first = scoring.kill_beyond(scoring.run(&dev), "");
    let second = scoring.kill_beyond(scoring.run(&dev), &first);
    assert!(second.starts_with(&first), "{second}");

    let run = scoring.run(&dev);
    wait_until("more is remembered", || {
        chunks(&scoring.remembered()) > chunks(&second)
    });
    let processes = functions(dev.id(), "");
    assert!(!processes.is_empty());
    drop(dev);
    let dev = scoring.serve(&[]);
    let third = scoring.remembered();
    assert!(third.starts_with(&second), "{third}");
    let done = run.wait_with_output().unwrap();
    if !done.status.success() {
        let again = scoring.run(&dev).wait_with_output().unwrap();
        let told = String::from_utf8_lossy(&again.stderr);
        assert!(again.status.success(), "{told}");
    }
    scoring.check();
    // Functions do not outlive the service for which they work.
    wait_until("the functions end", || {
        !processes.iter().any(|process| lives(process))
    });
}

/// Random numbers that are the same in every campaign.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % end
    }
}

/// What a campaign has done and seen.
#[derive(Debug, Default)]
struct Campaign {
    workers: usize,
    jobs: usize,
    commands: usize,
    services: usize,
    /// Tables of which every row was answered, once and in order.
    tables: usize,
    /// Runs that have ended with an error, and were called once more.
    interrupted: Vec<String>,
}

impl Campaign {
    const fn deaths(&self) -> usize {
        self.workers + self.jobs + self.commands + self.services
    }

    /// Kills something at random moments until the run is over or dead.
    fn haunt(
        &mut self,
        scoring: &Scoring,
        dev: &mut Option<Dev>,
        dice: &mut Dice,
        run: &mut Child,
    ) {
        while self.deaths() < DEATHS {
            std::thread::sleep(Duration::from_millis(100 + dice.below(700)));
            if run.try_wait().unwrap().is_some() {
                return;
            }
            let service = dev.as_ref().unwrap().id();
            let function = |name| functions(service, name).into_iter().next();
            match dice.below(4) {
                0 => {
                    if let Some(process) = function("worker") {
                        kill(&process);
                        self.workers += 1;
                    }
                }
                1 => {
                    if let Some(process) = function("jobs") {
                        kill(&process);
                        self.jobs += 1;
                    }
                }
                2 => {
                    run.kill().unwrap();
                    self.commands += 1;
                    return;
                }
                _ => {
                    *dev = None;
                    self.services += 1;
                    *dev = Some(scoring.serve(&[]));
                }
            }
        }
    }
}

#[test]
#[ignore = "a campaign of a minute, or of a quarter of an hour where all attempts at an event die: cargo test --workspace --test cli fifty_deaths -- --ignored --nocapture"]
fn fifty_deaths_lose_no_row_and_double_none() {
    let scoring = Scoring::new();
    let mut dev = Some(scoring.publish());
    let (mut dice, mut campaign) = (Dice(9), Campaign::default());
    let begin = Instant::now();
    // The last death leaves something to go on with.
    while campaign.deaths() < DEATHS || scoring.sandbox.path("found.csv.job").exists() {
        let killed = campaign.commands;
        let mut run = scoring.run(dev.as_ref().unwrap());
        campaign.haunt(&scoring, &mut dev, &mut dice, &mut run);
        let status = run.wait().unwrap();
        if status.success() {
            scoring.check();
            campaign.tables += 1;
        } else if campaign.commands == killed {
            let mut told = String::new();
            run.stderr
                .take()
                .unwrap()
                .read_to_string(&mut told)
                .unwrap();
            assert_eq!(status.code(), Some(1), "{told}");
            campaign.interrupted.push(told);
        }
    }
    assert!(campaign.tables > 0);
    println!("{campaign:#?} in {:?}", begin.elapsed());
}
