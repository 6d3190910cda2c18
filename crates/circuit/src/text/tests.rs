use crate::samples::mixture;

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
