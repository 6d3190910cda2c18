use crate::samples::{bootstraps, carriers, choices, lookups, mixture, packed_scores};

#[test]
fn circuits_read_like_this() {
    assert_eq!(
        mixture().to_string(),
        "\
set cipherfn-128-n512k4-v1
i0 = bits 3, gadget 12 x 2, ggsw
i1 = features 2, 2 a ciphertext by 3, 40 bits
i2 = digits of 2^3 values 5, gadget 6 x 4, packed
c0 = 0: 0x1000000000000000
c1 = 0: 0x3, 7: 0xffffffffffffffff
n0 = (i0.0 ? c0 : 0)
n1 = (i0.1 ? c1 : n0) + (i0.2 ? n0 : 0)
n2 = c1 + n1 X^1023
n3 = i1 * [1 -2; 0 5]
n4 = n2 + n3
o0 = n4, 2 coefficients by 1, 24 bits
o1 = n2, 1 coefficients by 1, 24 bits
"
    );
}

#[test]
fn lookups_read_like_this() {
    let text = lookups().to_string();
    let nodes = text.split_once("n0").unwrap().1;
    assert_eq!(
        nodes,
        " = X^5 c1 turned by i0.0 9, i0.2 1023
n1 = c1 turned by i0.1 1
n2 = c0 + 3 n0 + -2 n1 X^7
n3 = pack n2, n1, n0 X^512
o0 = n3, 3 coefficients by 128, 24 bits
"
    );
}

#[test]
fn carriers_read_like_this() {
    let text = carriers().to_string();
    let (before, nodes) = text.split_once("n0").unwrap();
    assert!(
        before.contains("i1 = values 5\ni2 = tables 2\n"),
        "{before}"
    );
    assert_eq!(
        nodes,
        " = i1.4
n1 = i2.1
n2 = n0 turned by i0.1 2
n3 = n1 + n2
o0 = n3, 3 coefficients by 128, 24 bits
"
    );
}

#[test]
fn bootstraps_read_like_this() {
    let text = bootstraps().to_string();
    assert!(text.starts_with("set cipherfn-128-n512k4-v1\nbootstrap bootstrap\ni0 = "));
    let nodes = text.split_once("n2").unwrap().1;
    assert_eq!(
        nodes,
        " = c0 + 3 n0 + -2 n1 X^7
n3 = c1 at n2
n4 = 5 n3 + 5 n2
n5 = c1 at n4 X^1023
o0 = n5, 1 coefficients by 1, 24 bits
"
    );
}

#[test]
fn packed_scores_read_like_this() {
    assert_eq!(
        packed_scores().to_string(),
        "set cipherfn-128-n512k4-v1
i0 = features 3, 2 a ciphertext together, scores by 256, 48 bits
n0 = i0 * [1 -2 3; -4 5 6]
n1 = i0 * [7 8 9; -1 0 1]
n2 = pack 2 of each of n0, n1
o0 = n2, 4 coefficients by 128, 24 bits
"
    );
}

#[test]
fn choices_read_like_this() {
    let text = choices().to_string();
    assert_eq!(
        text.split_once("X^7\n").unwrap().1,
        "n3 = (n2 >= 0 at 8x2 ? c1 : c0)
n4 = (n2 X^7 >= 0 at 8x2 ? n3 X^1 : 0)
o0 = n4, 2 coefficients by 1, 24 bits
"
    );
}
