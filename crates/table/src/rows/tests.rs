use super::*;
use crate::format::Separator;
use cipherfn_program::ColumnKind;

fn column(name: &str, kind: ColumnKind, missing: bool) -> InputColumn {
    InputColumn {
        name: name.into(),
        kind,
        missing,
    }
}

/// One input a column.
fn inputs(columns: &[InputColumn]) -> RowProgram {
    let kind = |column: &InputColumn| match column.kind {
        ColumnKind::Float32 => EntryKind::F32,
        ColumnKind::Float64 => EntryKind::F64,
        ColumnKind::Int64 => EntryKind::I64,
        ColumnKind::Text => EntryKind::Text,
    };
    let inputs = columns.iter().map(|column| TensorType {
        kind: kind(column),
        len: 1,
    });
    RowProgram::identity(inputs.collect()).unwrap()
}

fn number(name: &str) -> InputColumn {
    column(name, ColumnKind::Float32, false)
}

fn read(csv: &[u8], columns: &[InputColumn]) -> Result<Vec<Vec<Tensor>>, TableError> {
    Table::open("t.csv", csv)?
        .select(columns, inputs(columns).inputs())?
        .collect()
}

fn error(csv: &[u8], columns: &[InputColumn]) -> String {
    read(csv, columns).unwrap_err().to_string()
}

#[test]
fn byte_order_mark_crlf_quotes_and_blank_lines() {
    let rows = read(
        b"\xef\xbb\xbf\"a\", b \r\n1,\"2\"\r\n\r\n3, 4 \r\n",
        &[number("b"), number("a")],
    )
    .unwrap();
    assert_eq!(
        rows,
        [
            [Tensor::F32(vec![2.0]), Tensor::F32(vec![1.0])],
            [Tensor::F32(vec![4.0]), Tensor::F32(vec![3.0])]
        ]
    );
}

#[test]
fn types() {
    let columns = [
        column("f", ColumnKind::Float32, true),
        column("d", ColumnKind::Float64, true),
        column("i", ColumnKind::Int64, false),
        column("t", ColumnKind::Text, true),
    ];
    let rows = read(b"f,d,i,t\n0.1,0.1,-7, x \n,NaN,3.0,\n", &columns).unwrap();
    assert_eq!(
        rows[0],
        [
            Tensor::F32(vec![0.1]),
            Tensor::F64(vec![0.1]),
            Tensor::I64(vec![-7]),
            Tensor::Text(vec![" x ".into()])
        ]
    );
    assert!(matches!(&rows[1][0], Tensor::F32(values) if values[0].is_nan()));
    assert!(matches!(&rows[1][1], Tensor::F64(values) if values[0].is_nan()));
    assert_eq!(
        rows[1][2..],
        [Tensor::I64(vec![3]), Tensor::Text(vec![String::new()])]
    );
}

#[test]
fn bad_cells_name_line_and_column() {
    let a = [number("a")];
    assert_eq!(
        error(b"a,b\n1,2\nx y,2\n", &a),
        "t.csv, line 3, column \"a\": \"x y\" is not a 32-bit number; correct the cell"
    );
    assert_eq!(
        error(b"a,b\n\"\",2\n", &a),
        "t.csv, line 2, column \"a\": the value is missing and the model has no rule for missing values; fill it in or leave the row out"
    );
    assert!(error(b"a\nnan\n", &a).contains("missing"));
    assert!(error(b"a\n\"1,005.8\"\n", &a).contains("separate thousands or decimals"));
    assert!(error(b"a\nTrue\n", &a).contains("\"True\" is not a 32-bit number"));
    let integer = [column("a", ColumnKind::Int64, true)];
    assert!(error(b"a\n1.5\n", &integer).contains("not a whole number"));
    assert!(error(b"a\n1e30\n", &integer).contains("not a whole number"));
    assert!(error(b"a,b\n,1\n", &integer).contains("missing"));
}

#[test]
fn line_numbers_count_blank_lines_and_lines_inside_quotes() {
    let b = [number("b")];
    assert!(
        error(b"a,b\r\n\"x\r\ny\",1\r\n\r\n1,bad\r\n", &b).starts_with("t.csv, line 5, column")
    );
    assert!(error(b"a,b\n\n\n1,bad\n", &b).starts_with("t.csv, line 4, column"));
    assert!(error(b"a,b\r\n1,2\r\n1,bad\r\n", &b).starts_with("t.csv, line 3, column"));
}

#[test]
fn bad_files() {
    let a = [number("a")];
    assert_eq!(
        error(b"", &a),
        "t.csv is empty; give a CSV file whose first line names the columns"
    );
    assert_eq!(
        error(b"\n\n", &a),
        "t.csv is empty; give a CSV file whose first line names the columns"
    );
    assert_eq!(
        error(b"a\n", &a),
        "t.csv has a header and no rows; add at least one row"
    );
    assert_eq!(
        error(b"a,b,a\n1,2,3\n", &a),
        "t.csv: columns 1 and 3 are both named \"a\"; rename one"
    );
    assert!(
        error(b"a,b\n1,2\n1,2,3\n", &a)
            .starts_with("t.csv, line 3: 3 cells where the header has 2;")
    );
    assert!(
        error(b"a,b\n1,2\n1\n", &a).starts_with("t.csv, line 3: 1 cells where the header has 2;")
    );
    assert_eq!(
        error(b"a\n1\n\xff\n", &a),
        "t.csv, line 3, column \"a\": the cell is not UTF-8 text; save the file as UTF-8"
    );
    assert!(
        error(
            "\u{feff}a\n1\n"
                .encode_utf16()
                .flat_map(u16::to_le_bytes)
                .collect::<Vec<u8>>()
                .as_slice(),
            &a
        )
        .contains("UTF-16")
    );
}

#[test]
fn missing_columns_say_why() {
    let columns = [number("age"), number("bmi")];
    assert_eq!(
        error(b"age,x\n1,2\n", &columns),
        "t.csv, header: column \"bmi\" is missing; the header has \"age\", \"x\": add or rename columns"
    );
    assert!(error(b"age;bmi\n1;2\n", &columns).contains("separated by ';'"));
    assert!(error(b"1,2\n1,2\n", &columns).contains("the first line holds numbers"));
    assert!(error(b"Age,bmi\n1,2\n", &columns).ends_with("rename \"Age\" to \"age\""));
}

#[test]
fn a_quote_that_is_never_closed_is_bounded() {
    let endless = std::io::Read::chain(&b"a\n1\n\"x"[..], std::io::repeat(b'y'));
    let mut rows = Table::open("t.csv", endless)
        .unwrap()
        .select(&[number("a")], inputs(&[number("a")]).inputs())
        .unwrap();
    assert!(rows.next().unwrap().is_ok());
    assert!(
        rows.next()
            .unwrap()
            .unwrap_err()
            .to_string()
            .starts_with("t.csv, line 3: a quote that is opened here is never closed")
    );
    assert!(rows.next().is_none());
}

#[test]
fn a_limit_leaves_the_rest_unread() {
    let rows = Table::open("t.csv", &b"a\n1\n2\nbad\n"[..])
        .unwrap()
        .select(&[number("a")], inputs(&[number("a")]).inputs())
        .unwrap();
    assert_eq!(rows.limit(2).map(Result::unwrap).count(), 2);
}

#[test]
fn the_same_column_may_be_wanted_twice() {
    let rows = read(b"a,b\n1,2\n", &[number("a"), number("a")]).unwrap();
    assert_eq!(rows, [[Tensor::F32(vec![1.0]), Tensor::F32(vec![1.0])]]);
}

#[test]
fn an_input_takes_consecutive_columns() {
    let columns = [
        number("b"),
        number("a"),
        column("t", ColumnKind::Text, false),
    ];
    let inputs = RowProgram::identity(vec![
        TensorType {
            kind: EntryKind::F32,
            len: 2,
        },
        TensorType {
            kind: EntryKind::Text,
            len: 1,
        },
    ])
    .unwrap();
    let rows: Vec<_> = Table::open("t.csv", &b"a,b,t\n1,2,x\n"[..])
        .unwrap()
        .select(&columns, inputs.inputs())
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(
        rows,
        [[Tensor::F32(vec![2.0, 1.0]), Tensor::Text(vec!["x".into()])]]
    );
}

#[test]
fn line_ends_are_found_however_the_bytes_arrive() {
    struct Dribble<'a>(&'a [u8]);
    impl Read for Dribble<'_> {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            let len = out.len().min(1).min(self.0.len());
            out[..len].copy_from_slice(&self.0[..len]);
            self.0 = &self.0[len..];
            Ok(len)
        }
    }
    let csv = b"a,t\r\n1,x\r\n\r\n2,\"y\rz\r\n\"\r\n3,w\r";
    let columns = [number("a"), column("t", ColumnKind::Text, false)];
    let whole = read(csv, &columns).unwrap();
    let dribbled: Result<Vec<_>, _> = Table::open("t.csv", Dribble(csv))
        .unwrap()
        .select(&columns, inputs(&columns).inputs())
        .unwrap()
        .collect();
    assert_eq!(dribbled.unwrap(), whole);
    assert_eq!(whole[1][1], Tensor::Text(vec!["y\rz\r\n".into()]));
}

/// Rows of two columns of numbers, in another format.
fn read_as(csv: &[u8], format: Format) -> Result<Vec<Vec<Tensor>>, TableError> {
    let columns = [number("a"), number("b")];
    Table::open_as("t.csv", csv, format)?
        .select(&columns, inputs(&columns).inputs())?
        .collect()
}

fn numbers(a: f32, b: f32) -> [Tensor; 2] {
    [a, b].map(|value| Tensor::F32(vec![value]))
}

#[test]
fn separators_are_told_or_found() {
    let found = Format {
        separator: Separator::Found,
        ..Format::default()
    };
    for separator in [b',', b';', b'\t', b'|'] {
        let csv: Vec<u8> = b"a,\"b\"\n1.5,2\n"
            .iter()
            .map(|byte| if *byte == b',' { separator } else { *byte })
            .collect();
        assert_eq!(read_as(&csv, found).unwrap(), [numbers(1.5, 2.0)]);
        let told = Format {
            separator: Separator::Given(separator),
            ..Format::default()
        };
        assert_eq!(read_as(&csv, told).unwrap(), [numbers(1.5, 2.0)]);
    }
    let said = read_as(b"sep=;\r\na;b\r\n1;x\r\n", Format::default()).unwrap_err();
    assert!(said.to_string().starts_with("t.csv, line 3, column \"b\""));
    // A bar in a name is no separator beside a comma.
    let rows = read_as(b"a,b,c|d\n1,2,3\n", found).unwrap();
    assert_eq!(rows, [numbers(1.0, 2.0)]);
}

#[test]
fn decimal_commas_are_told_and_never_guessed() {
    let csv = b"a;b\n1,5;-2,25\n3;4\n";
    let found = Format {
        separator: Separator::Found,
        ..Format::default()
    };
    assert!(matches!(
        read_as(csv, found),
        Err(TableError::DecimalComma { .. })
    ));
    let told = Format {
        decimal: Decimal::Comma,
        ..found
    };
    assert_eq!(
        read_as(csv, told).unwrap(),
        [numbers(1.5, -2.25), numbers(3.0, 4.0)]
    );
    assert!(read_as(b"a;b\n1.005,5;1\n", told).is_err());
}

#[test]
fn comments_gzip_and_rows_of_nothing() {
    let commented = Format {
        comment: Some(b'#'),
        ..Format::default()
    };
    let csv = b"# made by hand\n\na,b\n# \"not a quote\n1,2\n3,4\n,\n\n,\n";
    let rows = [numbers(1.0, 2.0), numbers(3.0, 4.0)];
    assert_eq!(read_as(csv, commented).unwrap(), rows);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, csv).unwrap();
    assert_eq!(read_as(&packed.finish().unwrap(), commented).unwrap(), rows);
}

/// Data frames write a row of missing values as separators alone, spreadsheets whole pages of them
/// at the end.
#[test]
fn a_line_of_separators_between_rows_is_a_row() {
    let columns = ["a", "b"].map(|name| column(name, ColumnKind::Float32, true));
    let csv = b",\na,b\n1,2\n,\n,\n\n,\n3,4\n,\n,\n";
    let rows = read(csv, &columns).unwrap();
    let present: Vec<bool> = rows
        .iter()
        .map(|row| !matches!(&row[0], Tensor::F32(values) if values[0].is_nan()))
        .collect();
    assert_eq!(present, [true, false, false, false, true]);
    assert!(
        error(b"a,b\n1,2\n,\n3,4\n", &["a", "b"].map(number))
            .starts_with("t.csv, line 3, column \"a\""),
        "where missing values have no meaning, it is a bad row"
    );
}

#[test]
fn unused_columns_may_be_anything() {
    let csv = b",a,x,x,b,St\xe4dte,\r1,2,a,b,3,K\xf6ln,\r";
    assert_eq!(
        read_as(csv, Format::default()).unwrap(),
        [numbers(2.0, 3.0)]
    );
}

#[test]
fn a_bad_row_does_not_lose_the_others() {
    let columns = [number("a")];
    let table = Table::open("t.csv", &b"id,a\nx,1\ny,bad\nz\nw,inf\n"[..]).unwrap();
    let mut rows = table
        .select_and_keep(&columns, &inputs(&columns), &["id".to_owned()])
        .unwrap();
    let mut found = Vec::new();
    while let Some(row) = rows.next_row().unwrap() {
        found.push((row.kept[0].clone(), row.inputs.is_ok()));
    }
    let expected = [("x", true), ("y", false), ("z", false), ("w", true)];
    assert_eq!(found, expected.map(|(id, good)| (id.into(), good)));
    assert!(rows.ignored().is_empty());
}

#[test]
fn words_for_missing_values() {
    let columns = [column("a", ColumnKind::Float64, true)];
    for word in ["NA", "null", "None", "#N/A", "n/a", "<NA>", "NaN", "\"\""] {
        let rows = read(format!("a\n{word}\n").as_bytes(), &columns).unwrap();
        assert!(matches!(&rows[0][0], Tensor::F64(values) if values[0].is_nan()));
    }
    assert!(error(b"a\nNA\n", &[number("a")]).contains("missing"));
}

#[test]
fn booleans_are_numbers_where_the_column_says_so() {
    let integer = [column("a", ColumnKind::Int64, false)];
    let rows = read(b"a\nTrue\nFALSE\n", &integer).unwrap();
    assert_eq!(rows, [[Tensor::I64(vec![1])], [Tensor::I64(vec![0])]]);
    let columns = [number("a"), number("b")];
    let mut rows = Table::open("t.csv", &b"a,b\nTrue,1\n0,2\nFalse,True\n"[..])
        .unwrap()
        .select(&columns, inputs(&columns).inputs())
        .unwrap()
        .accept_booleans();
    let read: Vec<bool> = rows.by_ref().map(|row| row.is_ok()).collect();
    assert_eq!(read, [true, true, false], "numbers and True do not mix");
    assert_eq!(rows.boolean().collect::<Vec<_>>(), [true, false]);
    // What the rows have told is the kind of the column's cells, in a vector of floats too.
    let told = [InputColumn {
        kind: ColumnKind::Int64,
        ..number("a")
    }];
    let mut rows = Table::open("t.csv", &b"a\nTrue\n0\n"[..])
        .unwrap()
        .select(&told, inputs(&columns[..1]).inputs())
        .unwrap();
    assert!(rows.all(|row| row.is_ok()));
}

#[test]
fn blank_lines_between_rows_are_noted() {
    let columns = [number("a")];
    let noted = |text: &str| {
        let table = Table::open("t.csv", text.as_bytes()).unwrap();
        let mut rows = table.select(&columns, inputs(&columns).inputs()).unwrap();
        assert!(rows.by_ref().all(|row| row.is_ok()));
        rows.blank_line()
    };
    assert_eq!(noted("\na\n1\n2\n\n\n"), None);
    assert_eq!(noted("a\n1\n\n\n2\n"), Some(3));
    assert_eq!(noted("a\n\n1\n"), Some(2));
    assert_eq!(noted("a,b\n1,2\n\"\",\n3,4\n"), None);
}

/// A small compressed file must not become a large table in memory.
#[test]
fn text_that_grows_without_end_is_refused() {
    use std::io::Read;
    // A quote that is never closed, a line that never ends, a header of nothing but separators.
    for endless in [&b"a,b\n\"x"[..], b"a,b\n1,2\n3", b"a,b\n1,2\n\"", b"a,b"] {
        let text = endless.chain(std::io::repeat(b'x')).take(1 << 30);
        let columns = [number("a")];
        let read = Table::open("t.csv", text).and_then(|table| {
            let mut rows = table.select(&columns, inputs(&columns).inputs())?;
            while rows.next_row()?.is_some() {}
            Ok(())
        });
        let error = read.unwrap_err().to_string();
        assert!(error.contains("t.csv"), "{error}");
    }
    // Lines of separators, each of another width, wait for a row: so many and no more.
    let mut text = b"a,b\n".to_vec();
    for index in 0..(1 << 16) + 2 {
        text.extend_from_slice(if index % 2 == 0 { b",\n" } else { b",,\n" });
    }
    text.extend_from_slice(b"1,2\n");
    let columns = [number("a")];
    let table = Table::open("t.csv", text.as_slice()).unwrap();
    let mut rows = table.select(&columns, inputs(&columns).inputs()).unwrap();
    assert!(std::iter::from_fn(|| rows.next_row().transpose()).any(|row| row.is_err()));
}
