use super::from_slice;
use proptest::prelude::*;
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Debug, PartialEq, Deserialize)]
struct Document {
    numbers: Vec<f32>,
    #[serde(default)]
    name: Option<String>,
}

#[test]
fn containers_with_and_without_counts() {
    let typed = b"{U\x07numbers[$d#U\x02\x3f\x80\0\0\xbf\x80\0\0U\x04nameSU\x01x}";
    let expected = Document {
        numbers: vec![1.0, -1.0],
        name: Some("x".into()),
    };
    assert_eq!(from_slice::<Document>(typed).unwrap(), expected);
    let open = b"{U\x07numbers[NU\x01i\xffN]U\x05other[{}[]T]U\x04nameSU\x01xN}";
    assert_eq!(from_slice::<Document>(open).unwrap(), expected);
    let counted = b"{#U\x02U\x07numbers[#U\x02l\0\0\0\x01I\xff\xffU\x04nameZ";
    let expected = Document {
        name: None,
        ..expected
    };
    assert_eq!(from_slice::<Document>(counted).unwrap(), expected);
}

#[test]
fn what_a_file_announces_is_checked() {
    let problem = |bytes: &[u8]| from_slice::<Document>(bytes).unwrap_err().to_string();
    let announced = problem(b"{U\x07numbers[$d#L\x7f\xff\xff\xff\xff\xff\xff\xff");
    assert!(
        announced.contains("9223372036854775807 entries, 0 bytes are left at byte"),
        "{announced}"
    );
    let nothing = problem(b"{U\x07numbers[$Z#U\x01}");
    assert!(nothing.contains("entries of type 'Z'"), "{nothing}");
    assert!(problem(b"{U\x07numbers[]").contains("ends"));
    assert!(problem(b"{U\x07numbers[]}}").contains("1 bytes follow"));
    assert!(problem(b"{U\x07numbersSU\x01x}").contains("expected a sequence"));
    let deep = [b"{U\x01x".to_vec(), vec![b'['; 1 << 16]].concat();
    assert!(problem(&deep).contains("128 deep"));
}

proptest! {
    #[test]
    fn any_bytes_give_a_value_or_an_error(bytes in prop::collection::vec(prop::sample::select(
        &b"[]{}$#UiIlLdDSTFZN\x00\x01\x02\x7f\xff"[..],
    ), 0..64)) {
        let _ = from_slice::<BTreeMap<String, Vec<f32>>>(&bytes);
        let _ = from_slice::<Vec<serde::de::IgnoredAny>>(&bytes);
    }
}
