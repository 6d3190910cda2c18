//! Quantities as people read them.

/// `1.28 MB`, in powers of ten.
pub fn bytes(count: u64) -> String {
    let value = count as f64;
    match count {
        0..1_000 => format!("{count} B"),
        1_000..1_000_000 => format!("{} KB", significant(value / 1e3)),
        1_000_000..1_000_000_000 => format!("{} MB", significant(value / 1e6)),
        _ => format!("{} GB", significant(value / 1e9)),
    }
}

/// `12.3 ms`.
pub fn seconds(value: f64) -> String {
    match value {
        _ if value >= 1.0 => format!("{} s", significant(value)),
        _ if value >= 1e-3 => format!("{} ms", significant(value * 1e3)),
        _ => format!("{} µs", significant(value * 1e6)),
    }
}

/// Three significant digits.
pub fn significant(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}
