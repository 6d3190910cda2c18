//! Days of the calendar.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use time::Month;

/// Day zero, 1970-01-01, in Julian days.
const EPOCH: i32 = 2_440_588;

/// A day, as days since 1970-01-01; years 0 to 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Date(i32);

/// That a text is no day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a date such as 2024-12-31")]
pub struct NotADate;

impl Date {
    /// The day that many days after 1970-01-01.
    pub fn from_days(days: i64) -> Option<Self> {
        let julian = i32::try_from(days).ok()?.checked_add(EPOCH)?;
        let date = time::Date::from_julian_day(julian).ok()?;
        (0..=9999)
            .contains(&date.year())
            .then_some(Self(julian - EPOCH))
    }

    /// Days since 1970-01-01.
    pub const fn days(self) -> i64 {
        self.0 as i64
    }
}

impl FromStr for Date {
    type Err = NotADate;

    /// `YYYY-MM-DD`; a time of midnight behind it, as data frames write it, is none.
    fn from_str(text: &str) -> Result<Self, NotADate> {
        let day = ["T00:00:00", " 00:00:00"]
            .iter()
            .find_map(|midnight| text.strip_suffix(midnight))
            .unwrap_or(text);
        let mut fields = day.splitn(3, '-');
        let mut field = |digits: usize| -> Result<u16, NotADate> {
            let text = fields.next().ok_or(NotADate)?;
            let is_plain = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
            is_plain
                .then(|| text.parse().ok())
                .flatten()
                .ok_or(NotADate)
        };
        let (year, month, day) = (field(4)?, field(2)?, field(2)?);
        let month = u8::try_from(month)
            .ok()
            .and_then(|month| Month::try_from(month).ok());
        let date = time::Date::from_calendar_date(year.into(), month.ok_or(NotADate)?, day as u8);
        Ok(Self(date.map_err(|_| NotADate)?.to_julian_day() - EPOCH))
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match time::Date::from_julian_day(self.0 + EPOCH) {
            Ok(date) => write!(
                f,
                "{:04}-{:02}-{:02}",
                date.year(),
                u8::from(date.month()),
                date.day()
            ),
            Err(_) => write!(f, "day {}", self.0),
        }
    }
}

impl TryFrom<String> for Date {
    type Error = NotADate;

    fn try_from(text: String) -> Result<Self, NotADate> {
        text.parse()
    }
}

impl From<Date> for String {
    fn from(date: Date) -> Self {
        date.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_count_from_1970() {
        for (text, days) in [
            ("1970-01-01", 0),
            ("2024-02-29", 19_782),
            ("1969-12-31", -1),
            ("0000-01-01", -719_528),
        ] {
            let date: Date = text.parse().expect("a date");
            assert_eq!(date.days(), days, "{text}");
            assert_eq!(date.to_string(), text);
            assert_eq!(Date::from_days(days), Some(date));
        }
        assert_eq!(
            "2024-02-29T00:00:00".parse::<Date>().map(Date::days),
            Ok(19_782)
        );
        for text in [
            "2023-02-29",
            "24-1-1",
            "2024-13-01",
            "2024-01-01T10:00:00",
            "",
            "2024-01-+1",
            "abcd-01-01",
        ] {
            assert_eq!(text.parse::<Date>(), Err(NotADate), "{text}");
        }
        assert_eq!(Date::from_days(i64::MAX), None);
        assert_eq!(Date::from_days(10_000_000), None);
    }
}
