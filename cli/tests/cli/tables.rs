//! Tables as people write them, and bad rows, which must not lose the good ones.

use crate::support::{Sandbox, compiled, failure, library_model, lines, success, usage};
use arrow_array::{ArrayRef, Float64Array, RecordBatch};
use parquet::arrow::ArrowWriter;
use std::fs;
use std::sync::Arc;

/// A linear model of ten columns; rows of it take no time.
const MODEL: &str = "linreg_diabetes";

/// The header and the first rows of the model's test rows.
fn rows(count: usize) -> String {
    let path = library_model(MODEL).join("test.csv");
    lines(&fs::read_to_string(path).unwrap(), count)
}

fn predict(sandbox: &Sandbox, file: &[u8], more: &[&str]) -> std::process::Output {
    fs::write(sandbox.path("rows.csv"), file).unwrap();
    let command = [
        "predict",
        "--bundle",
        compiled(MODEL),
        "--input",
        "rows.csv",
    ];
    sandbox.run(&[&command[..], &["-o", "-"], more].concat())
}

/// Predictions as cells.
fn cells(csv: &str) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .from_reader(csv.as_bytes());
    reader
        .records()
        .map(|record| record.unwrap().iter().map(str::to_owned).collect())
        .collect()
}

/// A Parquet file of columns of numbers.
fn parquet(csv: &str) -> Vec<u8> {
    let cells = cells(csv);
    let columns = cells[0].iter().enumerate().map(|(place, name)| {
        let numbers = cells[1..].iter().map(|row| row[place].parse().unwrap());
        let numbers: Float64Array = numbers.collect::<Vec<f64>>().into();
        (name, Arc::new(numbers) as ArrayRef)
    });
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

#[test]
fn the_same_rows_in_many_forms() {
    let sandbox = Sandbox::new();
    let plain = rows(3);
    // Every run draws its own noise: answers are equal but for the last digit.
    let values = |csv: &str| -> Vec<f64> {
        let cells = cells(csv);
        assert_eq!(cells[0], ["prediction"], "{csv}");
        cells[1..]
            .iter()
            .map(|row| row[0].parse().unwrap())
            .collect()
    };
    let expected = values(&success(&predict(&sandbox, plain.as_bytes(), &[])));
    assert_eq!(expected.len(), 3);
    let each_line = |change: &dyn Fn(&str) -> String| -> String {
        plain.lines().map(|line| change(line) + "\n").collect()
    };
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, plain.as_bytes()).unwrap();
    let forms: Vec<(Vec<u8>, &[&str])> = vec![
        (
            format!("\u{feff}{}", plain.replace('\n', "\r\n")).into(),
            &[],
        ),
        (plain.replace('\n', "\r").into(), &[]),
        (plain.replace(',', "\t").into(), &[]),
        (plain.replace(',', ";").into(), &["--separator", ";"]),
        (
            plain.replace(',', ";").replace('.', ",").into(),
            &["--decimal-comma"],
        ),
        (format!("sep=,\n{plain}").into(), &[]),
        (format!("# exported\n{plain}").into(), &["--comment", "#"]),
        (each_line(&|line| format!("{line},,")).into(), &[]),
        (format!("{plain},,,,,,,,,,\n\n").into(), &[]),
        (each_line(&|line| format!("x,{line},x")).into(), &[]),
        (packed.finish().unwrap(), &[]),
        (parquet(&plain), &[]),
    ];
    for (form, options) in forms {
        let found = values(&success(&predict(&sandbox, &form, options)));
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(&expected) {
            assert!(
                (found - expected).abs() < 1.0,
                "{options:?}: {found} {expected}"
            );
        }
    }
}

#[test]
fn a_bad_row_is_marked_and_the_others_are_answered() {
    let sandbox = Sandbox::new();
    let plain = rows(4);
    let mut lines: Vec<String> = plain.lines().map(str::to_owned).collect();
    lines[0] += ",id";
    for (number, line) in lines.iter_mut().enumerate().skip(1) {
        *line = format!("{line},row {number}");
    }
    lines[2] = lines[2].replacen(|letter: char| letter != ',', "NA", 1);
    lines[3] = "1,2".to_owned();
    let first_comma = lines[4].find(',').unwrap();
    lines[4].replace_range(..first_comma, "1e6");
    let file = lines.join("\n");
    let run = predict(&sandbox, file.as_bytes(), &["--keep", "id"]);
    let found = cells(&success(&run));
    let notice = String::from_utf8(run.stderr).unwrap();
    assert!(
        notice.contains("2 of 4 rows have no prediction"),
        "{notice}"
    );
    assert_eq!(found[0], ["id", "prediction", "error", "remark"]);
    assert_eq!((found[1][0].as_str(), found[1][2].as_str()), ("row 1", ""));
    assert!(found[1][1].parse::<f64>().is_ok());
    assert_eq!(found[2][1], "");
    assert!(
        found[2][2].starts_with("rows.csv, line 3, column \"age\""),
        "{:?}",
        found[2]
    );
    assert_eq!(found[3][1], "");
    assert!(
        found[3][2].contains("2 cells where the header has 12"),
        "{:?}",
        found[3]
    );
    // A value out of range is limited, and said to be.
    assert!(found[4][1].parse::<f64>().is_ok());
    assert_eq!(found[4][2], "");
    assert!(
        found[4][3].contains("limited to the range"),
        "{:?}",
        found[4]
    );
    assert!(
        notice.contains("1 of 4 predictions have a remark"),
        "{notice}"
    );

    let run = predict(&sandbox, file.as_bytes(), &["--on-error", "fail"]);
    assert!(failure(&run).contains("2 of 4 rows have no prediction") && run.stdout.is_empty());
}

#[test]
fn files_that_cannot_be_meant_are_refused_with_the_way_out() {
    let sandbox = Sandbox::new();
    let plain = rows(2);
    let body = plain.split_once('\n').unwrap().1;
    for (file, reason) in [
        (body.to_owned(), "the first line holds numbers"),
        (plain.to_uppercase(), "rename \"AGE\" to \"age\""),
        (plain.replace(',', ";").replace('.', ","), "--decimal-comma"),
        (
            plain.replacen('\n', "\n\"", 1),
            "rows.csv, line 2: a quote that is opened here",
        ),
        (
            format!("# exported, 2024\n{plain}"),
            "--comment '#' skips it",
        ),
        (String::new(), "rows.csv is empty"),
        (rows(0), "has a header and no rows"),
    ] {
        let error = failure(&predict(&sandbox, file.as_bytes(), &[]));
        assert!(error.contains(reason), "{reason}: {error}");
    }
}

#[test]
fn bad_rows_of_an_encrypted_file_have_no_prediction() {
    let sandbox = Sandbox::new();
    success(&sandbox.run(&["specs", compiled(MODEL), "-o", "s.json"]));
    success(&sandbox.run(&["keygen", "s.json", "-o", "keys"]));
    let file = rows(2) + "0,0,oops,0,0,0,0,0,0,0,0\n";
    sandbox.write("rows.csv", &file);
    let encrypt = [
        "encrypt", "s.json", "--keys", "keys", "--input", "rows.csv", "-o", "q.cfq",
    ];
    let error = failure(&sandbox.run(&encrypt));
    assert!(error.contains("line 4, column \"bmi\""), "{error}");
    success(&sandbox.run(&[&encrypt[..], &["--on-error", "mark"]].concat()));
    success(&sandbox.run(&[
        "evaluate",
        compiled(MODEL),
        "--input",
        "q.cfq",
        "-o",
        "r.cfr",
    ]));
    let decrypt = [
        "decrypt", "s.json", "--keys", "keys", "--input", "r.cfr", "-o", "-",
    ];
    // Other rows than those that the query had, by number or by what became of them.
    sandbox.write("other.csv", &rows(3));
    let error = failure(&sandbox.run(&[&decrypt[..], &["--rows", "other.csv"]].concat()));
    assert!(error.contains("row 3 of --rows is not the one"), "{error}");
    // The key ring knows until it is decrypted, and the rows say the same.
    let kept = fs::read_dir(sandbox.path("keys/queries")).unwrap();
    let kept: Vec<_> = kept.map(|entry| entry.unwrap().path()).collect();
    let record = fs::read(&kept[0]).unwrap();
    // The same rows in other order, and one value changed: as many, and bad where they were.
    let lines: Vec<&str> = file.lines().collect();
    let [header, first, second, bad] = lines.as_slice() else {
        panic!("{file}");
    };
    let changed = [
        [header, second, first, bad].map(|line| format!("{line}\n")),
        [*header, first, &first.replace('0', "1"), bad].map(|line| format!("{line}\n")),
    ];
    let refused = |words: &str| {
        for changed in &changed {
            sandbox.write("other.csv", &changed.concat());
            let run = sandbox.run(&[&decrypt[..], &["--rows", "other.csv"]].concat());
            assert_eq!(cells(&String::from_utf8_lossy(&run.stdout)).len(), 0);
            let error = failure(&run);
            assert!(error.contains(words), "{error}");
        }
    };
    // Already by what became of a row, where the value is one that the model limits.
    refused("that the query was made from");
    for rows in [&[][..], &["--rows", "rows.csv"]] {
        let csv = success(&sandbox.run(&[&decrypt[..], rows].concat()));
        let found = cells(&csv);
        assert_eq!((found.len(), found[3][0].as_str()), (4, ""));
        assert!(
            found[3][1].contains("\"oops\" is not a 32-bit number"),
            "{:?}",
            found[3]
        );
    }
    let pipe = [
        "decrypt", "s.json", "--keys", "keys", "--input", "-", "-o", "-",
    ];
    // What it keeps then tells nothing of the cells, and other rows are refused as before.
    let left = fs::read_to_string(&kept[0]).unwrap();
    assert!(!left.contains("oops"), "{left}");
    refused("are not those that the query was made from");
    fs::write(&kept[0], record).unwrap();
    let reply = fs::read(sandbox.path("r.cfr")).unwrap();
    let piped = String::from_utf8(sandbox.pipe(&pipe, &reply).stdout).unwrap();
    assert_eq!(cells(&piped)[3][0], "");
    // Without either nothing plausible is written for it.
    let error = failure(&sandbox.run(&decrypt));
    assert!(error.contains("give the rows with --rows"), "{error}");
    sandbox.write("other.csv", &rows(2));
    let error = failure(&sandbox.run(&[&decrypt[..], &["--rows", "other.csv"]].concat()));
    assert!(error.contains("another number of rows"), "{error}");
}

/// Whatever it is called, and whatever --force says.
#[test]
fn an_input_is_never_overwritten() {
    let sandbox = Sandbox::new();
    let file = rows(2);
    sandbox.write("rows.csv", &file);
    std::os::unix::fs::symlink("rows.csv", sandbox.path("symbolic.csv")).unwrap();
    fs::hard_link(sandbox.path("rows.csv"), sandbox.path("hard.csv")).unwrap();
    fs::create_dir(sandbox.path("folder")).unwrap();
    for output in ["rows.csv", "folder/../rows.csv", "symbolic.csv", "hard.csv"] {
        let command = [
            "predict",
            "--bundle",
            compiled(MODEL),
            "--input",
            "rows.csv",
            "--force",
            "-o",
            output,
        ];
        let error = usage(&sandbox.run(&command));
        assert!(error.contains("would be overwritten"), "{error}");
        assert_eq!(sandbox.read("rows.csv"), file);
    }
    success(&sandbox.run(&["specs", compiled(MODEL), "-o", "s.json"]));
    success(&sandbox.run(&["keygen", "s.json", "-o", "keys"]));
    for output in ["s.json", "keys/secret.cfk", "keys/new.cfq"] {
        let encrypt = [
            "encrypt", "s.json", "--keys", "keys", "--input", "rows.csv", "-o", output, "--force",
        ];
        usage(&sandbox.run(&encrypt));
    }
}

#[test]
fn wrong_usage_has_an_exit_code_of_its_own() {
    let sandbox = Sandbox::new();
    let file = rows(1).replacen('\n', ",remark\n", 1);
    let file = format!("{},x\n", file.trim_end());
    for keep in ["nonesuch", "remark"] {
        let error = usage(&predict(&sandbox, file.as_bytes(), &["--keep", keep]));
        assert!(error.contains(&format!("--keep {keep}")), "{error}");
    }
    usage(&sandbox.run(&["models"]));
    let model = library_model(MODEL);
    let (model, rows) = (model.join("model.onnx"), model.join("train.csv"));
    let compile = [
        "compile",
        model.to_str().unwrap(),
        "--calibration",
        rows.to_str().unwrap(),
        "--target",
        "target",
        "-o",
        "m.cfn",
    ];
    for wrong in [
        ["--classes", "a,b"],
        ["--precision", "99"],
        ["--min-agreement", "200"],
    ] {
        usage(&sandbox.run(&[&compile[..], &wrong].concat()));
    }
}
