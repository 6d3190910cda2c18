//! Functions as processes: starts, reuse, limits, and every way to fail.

use std::time::Duration;

use serde_json::Value;

use crate::support::{Gate, Lines, emulator, eventually, get, open, post};

fn process(answer: &Value) -> u32 {
    u32::try_from(answer["process"].as_u64().expect("process id")).expect("in range")
}

fn kill(process: u32) {
    let killed = std::process::Command::new("sh")
        .args(["-c", &format!("kill -9 {process}")])
        .status();
    assert!(killed.expect("sh runs").success());
}

#[tokio::test]
async fn the_first_request_starts_a_process_and_later_ones_find_it_warm() {
    let lines = Lines::default();
    let (emulator, _data) = emulator(|config| config.log = lines.sink()).await;
    assert!(emulator.process_ids("f").is_empty());
    let first = get(format!("{}/process", emulator.url())).await.json();
    let second = get(format!("{}/process", emulator.url())).await.json();
    assert_eq!(process(&first), process(&second));
    assert_eq!((&first["count"], &second["count"]), (&1.into(), &2.into()));
    assert_eq!(emulator.process_ids("f"), [process(&first)]);
    let reports: Vec<String> = lines
        .all()
        .into_iter()
        .filter(|line| line.contains("REPORT"))
        .collect();
    assert_eq!(
        reports
            .iter()
            .map(|line| line.contains("Init Duration"))
            .collect::<Vec<_>>(),
        [true, false]
    );
    emulator.stop().await;
}

#[tokio::test]
async fn environments_are_one_invocation_each_up_to_the_concurrency() {
    let (emulator, _data) =
        emulator(|config| config.limits.queue_timeout = Duration::from_millis(50)).await;
    let gate = Gate::new().await;
    let url = format!("{}{}", emulator.url(), gate.path());
    let first = tokio::spawn(get(url.clone()));
    let (first_process, first_gate) = gate.arrival().await;
    let second = tokio::spawn(get(url.clone()));
    let (second_process, second_gate) = gate.arrival().await;
    assert_ne!(first_process, second_process);
    assert_eq!(
        get(url).await.message(),
        (503, "Service Unavailable".to_owned())
    );

    open(second_gate).await;
    assert_eq!(
        process(&second.await.expect("no panic").json()),
        second_process
    );
    open(first_gate).await;
    assert_eq!(
        process(&first.await.expect("no panic").json()),
        first_process
    );
    // The first came back last, so it is the warmest.
    assert_eq!(
        process(&get(format!("{}/process", emulator.url())).await.json()),
        first_process
    );
}

#[tokio::test]
async fn a_request_waits_for_a_busy_environment() {
    let (emulator, _data) = emulator(|config| config.functions[0].concurrency = 1).await;
    let gate = Gate::new().await;
    let url = format!("{}{}", emulator.url(), gate.path());
    let first = tokio::spawn(get(url.clone()));
    let (first_process, first_gate) = gate.arrival().await;
    let second = tokio::spawn(get(url));
    open(first_gate).await;
    let (second_process, second_gate) = gate.arrival().await;
    open(second_gate).await;
    assert_eq!(first_process, second_process);
    assert!(
        first.await.expect("no panic").status.is_success()
            && second.await.expect("no panic").status.is_success()
    );
}

#[tokio::test]
async fn many_clients_at_once_each_get_their_own_answer() {
    let (emulator, _data) = emulator(|config| config.functions[0].concurrency = 3).await;
    let clients = (0..8).map(|client| {
        let url = emulator.url().to_owned();
        tokio::spawn(async move {
            for number in 0..40 {
                let event = get(format!("{url}/event?client={client}&number={number}"))
                    .await
                    .json();
                assert_eq!(
                    event["rawQueryString"],
                    format!("client={client}&number={number}")
                );
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.expect("no wrong answer");
    }
    assert!(emulator.process_ids("f").len() <= 3);
}

#[tokio::test]
async fn a_process_that_exits_is_500_and_the_next_request_gets_a_new_one() {
    let (emulator, _data) = emulator(|_| {}).await;
    let before = process(&get(format!("{}/process", emulator.url())).await.json());
    assert_eq!(
        get(format!("{}/exit", emulator.url())).await.message(),
        (500, "Internal Server Error".to_owned())
    );
    assert_ne!(
        process(&get(format!("{}/process", emulator.url())).await.json()),
        before
    );
}

#[tokio::test]
async fn a_process_killed_in_the_middle_of_a_request_is_500() {
    let (emulator, _data) = emulator(|_| {}).await;
    let gate = Gate::new().await;
    let request = tokio::spawn(get(format!("{}{}", emulator.url(), gate.path())));
    let (process, _gate) = gate.arrival().await;
    kill(process);
    assert_eq!(
        request.await.expect("no panic").message(),
        (500, "Internal Server Error".to_owned())
    );
}

#[tokio::test]
async fn a_process_killed_while_idle_costs_no_request() {
    let (emulator, _data) = emulator(|_| {}).await;
    for _ in 0..3 {
        let idle = process(&get(format!("{}/process", emulator.url())).await.json());
        kill(idle);
        eventually("the end is noticed", || {
            !emulator.process_ids("f").contains(&idle)
        })
        .await;
    }
    assert_eq!(
        get(format!("{}/process", emulator.url())).await.json()["count"],
        1
    );
}

#[tokio::test]
async fn a_function_over_its_timeout_is_killed_and_503() {
    let lines = Lines::default();
    let (emulator, _data) = emulator(|config| {
        config.log = lines.sink();
        config.functions[0].timeout = Duration::from_millis(200);
    })
    .await;
    assert_eq!(
        get(format!("{}/hang", emulator.url())).await.message(),
        (503, "Service Unavailable".to_owned())
    );
    eventually("the process is killed", || {
        emulator.process_ids("f").is_empty()
    })
    .await;
    assert!(
        lines
            .all()
            .iter()
            .any(|line| line.contains("task timed out after 0.20 seconds"))
    );
}

#[tokio::test]
async fn the_gateway_loses_patience_but_the_function_goes_on() {
    let (emulator, _data) =
        emulator(|config| config.limits.gateway_timeout = Duration::from_millis(300)).await;
    emulator.invoke("f", "{}").await.expect("started");
    let gate = Gate::new().await;
    let request = tokio::spawn(get(format!("{}{}", emulator.url(), gate.path())));
    let (waiting, stream) = gate.arrival().await;
    assert_eq!(
        request.await.expect("no panic").message(),
        (503, "Service Unavailable".to_owned())
    );
    assert_eq!(emulator.process_ids("f"), [waiting]);
    open(stream).await;
}

#[tokio::test]
async fn errors_and_panics_are_500_and_the_environment_survives() {
    let (emulator, _data) = emulator(|_| {}).await;
    let before = process(&get(format!("{}/process", emulator.url())).await.json());
    for path in ["error", "panic", "invalid"] {
        let answer = get(format!("{}/{path}", emulator.url())).await;
        assert_eq!(
            answer.message(),
            (500, "Internal Server Error".to_owned()),
            "{path}"
        );
    }
    assert_eq!(
        process(&get(format!("{}/process", emulator.url())).await.json()),
        before
    );
}

#[tokio::test]
async fn sizes_are_limited_as_on_aws() {
    let (emulator, _data) = emulator(|_| {}).await;
    let url = emulator.url();
    // Requests are base64 in the event.
    assert_eq!(
        post(format!("{url}/process"), vec![7; 4 << 20])
            .await
            .status,
        200
    );
    assert_eq!(
        post(format!("{url}/process"), vec![7; 5 << 20])
            .await
            .message(),
        (413, "Request Too Long".to_owned())
    );
    assert_eq!(
        post(format!("{url}/process"), vec![7; (10 << 20) + 1])
            .await
            .message(),
        (413, "Request Entity Too Large".to_owned())
    );
    // Responses.
    assert_eq!(
        get(format!("{url}/size/6291000")).await.body.len(),
        6_291_000
    );
    assert_eq!(
        get(format!("{url}/size/6291556")).await.message(),
        (500, "Internal Server Error".to_owned())
    );
    assert_eq!(get(format!("{url}/process")).await.status, 200);
}

#[tokio::test]
async fn a_process_that_does_not_start_is_500() {
    for (init, expected) in [
        ("exit", "exit status: 3"),
        ("hang", "no request for an invocation"),
    ] {
        let (emulator, _data) = emulator(|config| {
            config.limits.init_timeout =
                Duration::from_millis(if init == "hang" { 200 } else { 10_000 });
            config.functions[0].environment = vec![("INIT".to_owned(), init.to_owned())];
        })
        .await;
        assert_eq!(
            get(format!("{}/process", emulator.url())).await.message(),
            (500, "Internal Server Error".to_owned())
        );
        let error = emulator
            .invoke("f", "{}")
            .await
            .expect_err("does not start")
            .to_string();
        assert!(error.contains(expected), "{error}");
        eventually("the process is gone", || {
            emulator.process_ids("f").is_empty()
        })
        .await;
    }
    let (emulator, _data) =
        emulator(|config| config.functions[0].program = "/no/such/program".into()).await;
    assert!(
        emulator
            .invoke("f", "{}")
            .await
            .expect_err("no program")
            .to_string()
            .contains("cannot start /no/such/program")
    );
}

#[tokio::test]
async fn functions_see_lambdas_environment_and_nothing_of_ours() {
    let (emulator, _data) = emulator(|config| {
        config.functions[0].environment = vec![("MINE".to_owned(), "1".to_owned())];
    })
    .await;
    let environment = get(format!("{}/environment", emulator.url())).await.json();
    assert_eq!(environment["AWS_LAMBDA_FUNCTION_NAME"], "f");
    assert_eq!(environment["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"], "1769");
    assert_eq!(environment["AWS_ACCESS_KEY_ID"], emulator.credentials().0);
    assert_eq!(environment["AWS_ENDPOINT_URL_S3"], emulator.s3_endpoint());
    assert_eq!(environment["MINE"], "1");
    // The runtime itself sets the trace id while it handles an invocation.
    let allowed = ["MINE", "PATH", "TMPDIR", "LANG", "TZ", "_X_AMZN_TRACE_ID"];
    for name in environment.as_object().expect("an object").keys() {
        assert!(
            name.starts_with("AWS_") || allowed.contains(&name.as_str()),
            "{name}"
        );
    }
    assert!(
        std::env::var_os("CARGO_MANIFEST_DIR").is_some(),
        "cargo sets it for this process, and it is not in the list"
    );
}

#[tokio::test]
async fn the_context_is_lambdas() {
    let (emulator, _data) = emulator(|_| {}).await;
    let context = get(format!("{}/context", emulator.url())).await;
    let trace = context.headers["x-amzn-trace-id"]
        .to_str()
        .expect("text")
        .to_owned();
    let context = context.json();
    assert_eq!(
        context["arn"],
        "arn:aws:lambda:us-east-1:000000000000:function:f"
    );
    assert_eq!(context["trace"], trace);
    assert_eq!(context["memory"], 1769);
    let deadline = std::time::UNIX_EPOCH
        + Duration::from_millis(context["deadline"].as_u64().expect("milliseconds"));
    let left = deadline
        .duration_since(std::time::SystemTime::now())
        .expect("in the future");
    assert!(left <= Duration::from_secs(30));
}

#[tokio::test]
async fn output_is_forwarded_line_by_line() {
    let lines = Lines::default();
    let (emulator, _data) = emulator(|config| config.log = lines.sink()).await;
    get(format!("{}/print/hello", emulator.url())).await;
    emulator.stop().await;
    eventually("both lines are there", || {
        let lines = lines.all();
        ["f: out hello", "f: err hello"]
            .iter()
            .all(|wanted| lines.iter().any(|line| line == wanted))
    })
    .await;
}

#[tokio::test]
async fn stopping_ends_processes_that_are_busy() {
    let (emulator, _data) = emulator(|_| {}).await;
    get(format!("{}/process", emulator.url())).await;
    let gate = Gate::new().await;
    let invocation = emulator.invoke("f", format!(r#"{{"rawPath":"{}"}}"#, gate.path()));
    tokio::select! {
        _ = invocation => panic!("it waits"),
        _ = gate.arrival() => {}
    }
    let process = emulator.process_ids("f")[0];
    emulator.stop().await;
    assert!(!alive(process));
}

/// Not a test: an emulator as a process of its own, for the test below.
#[test]
fn emulator_process() {
    if std::env::var_os("EMULATOR_PROCESS").is_none() {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    runtime.block_on(async {
        let (emulator, _data) = emulator(|_| {}).await;
        let process = process(&get(format!("{}/process", emulator.url())).await.json());
        println!("\nfunction {process}");
        std::future::pending::<()>().await;
    });
}

#[test]
fn functions_die_with_an_emulator_that_is_killed() {
    use std::io::BufRead as _;
    let mut emulator =
        std::process::Command::new(std::env::current_exe().expect("path of this binary"))
            .args(["lambda::emulator_process", "--exact", "--nocapture"])
            .env("EMULATOR_PROCESS", "1")
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("starts");
    let output = std::io::BufReader::new(emulator.stdout.take().expect("piped"));
    let process = output
        .lines()
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("function ")?.parse().ok())
        .expect("it prints the function's process");
    assert!(alive(process));
    emulator.kill().expect("killed");
    emulator.wait().expect("reaped");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("runtime");
    runtime.block_on(eventually("the function ends", || !alive(process)));
}

/// Whether a process runs; one that ended and was not reaped does not.
fn alive(process: u32) -> bool {
    let state = if std::path::Path::new("/proc/self/stat").exists() {
        let text = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        text.rsplit(") ").next().unwrap_or_default().to_owned()
    } else {
        let output = std::process::Command::new("ps")
            .args(["-o", "stat=", "-p", &process.to_string()])
            .output()
            .expect("ps runs");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    !state.is_empty() && !state.starts_with('Z')
}
