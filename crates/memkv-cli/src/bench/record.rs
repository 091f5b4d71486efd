//! Results as named numbers: their medians over rounds, their ratios to another structure's, and tables of them.

use serde_json::{Map, Number, Value};

/// One structure's results, as they are printed by `--json`.
pub(crate) type Record = Map<String, Value>;

/// A number of a record.
pub(crate) fn number(record: &Record, field: &str) -> Option<f64> {
    record.get(field)?.as_f64()
}

/// The middle of some numbers, or the average of the two in the middle.
pub(crate) fn median(mut numbers: Vec<f64>) -> Option<f64> {
    numbers.sort_unstable_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    match numbers.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(numbers[middle]),
        _ => Some(f64::midpoint(numbers[middle - 1], numbers[middle])),
    }
}

/// The rounds' records as one: the median of each number, the total of the errors, and of all else the first.
pub(crate) fn summary(rounds: &[Record]) -> Record {
    let mut summary = Record::new();
    for (field, value) in rounds.iter().flatten() {
        if summary.contains_key(field) && !value.is_null() && !summary[field].is_null() {
            continue;
        }
        let numbers: Vec<f64> = rounds.iter().filter_map(|record| number(record, field)).collect();
        let value = match (field.as_str(), median(numbers.clone())) {
            ("errors", _) => Value::from(numbers.iter().sum::<f64>() as u64),
            (_, None) => value.clone(),
            (_, Some(median)) if value.is_f64() => {
                Number::from_f64(median).map_or(Value::Null, Value::from)
            }
            (_, Some(median)) => Value::from(median as i64),
        };
        summary.insert(field.clone(), value);
    }
    summary
}

/// The median over rounds of one structure's number as a multiple of another's in the same round.
pub(crate) fn ratio(rounds: &[Record], base: &[Record], field: &str) -> Option<f64> {
    let ratios = rounds.iter().zip(base).filter_map(|(record, base)| {
        let base = number(base, field).filter(|&base| base != 0.0)?;
        Some(number(record, field)? / base)
    });
    median(ratios.collect())
}

/// A rate or count with a unit: `1.23 M`.
pub(crate) fn large(number: f64) -> String {
    let (scaled, unit) = match number.abs() {
        1e9.. => (number / 1e9, " G"),
        1e6.. => (number / 1e6, " M"),
        1e3.. => (number / 1e3, " k"),
        _ => (number, ""),
    };
    format!("{scaled:.*}{unit}", if unit.is_empty() || scaled.abs() >= 100.0 { 0 } else { 2 })
}

/// Bytes in binary megabytes.
pub(crate) fn mebibytes(bytes: f64) -> String {
    format!("{:.1} MiB", bytes / (1 << 20) as f64)
}

/// Rows of text in columns, the first aligned to the left and the others to the right.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let width = |column| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell: &String| cell.chars().count())
            .max()
    };
    let widths: Vec<usize> = (0..).map_while(width).collect();
    let line = |row: &Vec<String>| {
        let cells =
            row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| match column {
                0 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::{Record, large, median, number, ratio, summary, table};
    use serde_json::json;

    fn record(value: serde_json::Value) -> Record {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn medians() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0]), Some(3.0));
        assert_eq!(median(vec![9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 9.0]), Some(3.0));
    }

    #[test]
    fn a_summary_has_medians_and_all_errors() {
        let rounds = [
            record(
                json!({"impl": "x", "rate": 3.0, "bytes": 30, "errors": 1, "none": null, "first_error": null}),
            ),
            record(
                json!({"impl": "x", "rate": 1.0, "bytes": 10, "errors": 0, "none": null, "first_error": "e"}),
            ),
            record(
                json!({"impl": "x", "rate": 2.5, "bytes": 20, "errors": 2, "none": null, "first_error": "f"}),
            ),
        ];
        let expected = json!({"impl": "x", "rate": 2.5, "bytes": 20, "errors": 3, "none": null, "first_error": "e"});
        assert_eq!(summary(&rounds), record(expected));
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        let rounds = |rates: [f64; 3]| rates.map(|rate| record(json!({"rate": rate})));
        // The machine was slow in the second round, for both.
        let (ours, base) = (rounds([4.0, 1.0, 6.0]), rounds([2.0, 0.5, 2.0]));
        assert_eq!(ratio(&ours, &base, "rate"), Some(2.0));
        assert_eq!(ratio(&ours, &base, "other"), None);
        assert_eq!(ratio(&ours, &rounds([0.0; 3]), "rate"), None);
        assert_eq!(number(&ours[0], "rate"), Some(4.0));
    }

    #[test]
    fn numbers_and_columns() {
        assert_eq!(
            [0.0, 12.0, 1500.0, 2.5e6, 123.4e6].map(large),
            ["0", "12", "1.50 k", "2.50 M", "123 M"]
        );
        let rows = [vec!["a".into(), "bb".into()], vec!["ccc".into(), "−".into()]];
        assert_eq!(table(&rows), "a    bb\nccc   −\n");
    }
}
