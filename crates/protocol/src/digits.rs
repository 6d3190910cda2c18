//! Numbers whose last digits mean nothing.

/// `value` rounded to the leading digit of an error of `margin`; as it is where either is not finite or
/// there is no error.
pub fn rounded(value: f64, margin: f64) -> f64 {
    if !value.is_finite() || !margin.is_finite() || margin <= 0.0 {
        return value;
    }
    let exponent = margin.log10().floor() as i32;
    let rounded = if let Ok(decimals) = usize::try_from(-exponent) {
        // By way of decimal text, whose digits are exact where those of a product are not.
        format!("{value:.decimals$}").parse().unwrap_or(value)
    } else {
        let unit = 10_f64.powi(exponent);
        (value / unit).round() * unit
    };
    // Adding zero turns -0 into 0: its sign is noise.
    rounded + 0.0
}
