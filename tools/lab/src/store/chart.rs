//! The time of a count over the rows of the table, both logarithmic.

use anyhow::Result;
use plotters::style::text_anchor::HPos;
use serde::Deserialize;
use serde_json::Value;

use super::CountTimes;
use super::targets::TARGETS;
use crate::chart::*;

const SIZE: (u32, u32) = (800, 420);

/// The counts that are drawn: filter, the project's sharings, its name, and where beside the line's end
/// the name stands.
const LINES: [(&str, u64, &str, i32); 7] = [
    ("name", 100_000, "name, 100,000 sharings", 0),
    ("none", 100_000, "no filter, 100,000", 0),
    ("status", 100_000, "status, 100,000", 0),
    ("name", 1_000, "name, 1,000", 0),
    ("none", 1_000, "no filter, 1,000", 0),
    ("volume_id", 100_000, "volume_id, 100,000", -7),
    ("none", 10, "no filter, 10", 7),
];

/// Draws what projects share, counted by SQLite alone. From the experiment's figures.
///
/// # Errors
/// If there are none, or they cannot be drawn.
pub fn draw(figures: &Value) -> Result<String> {
    let counts = Vec::<CountTimes>::deserialize(&figures["sqlite"]["counts"])?;
    svg(SIZE, |area| draw_on(area, &counts))
}

fn draw_on(area: &Area, counts: &[CountTimes]) -> Drawn {
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .margin_top(40)
        .margin_right(170)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d((8e3..1.2e7).log_scale(), (1.0..2e4).log_scale())
        .map_err(owned)?;
    let mut mesh = chart.configure_mesh();
    mesh.light_line_style(TRANSPARENT).bold_line_style(FAINT).x_desc("rows of all projects");
    mesh.x_label_formatter(&|rows: &f64| format!("10^{:.0}", rows.log10()));
    mesh.y_label_formatter(&|micros| format!("{micros}")).draw().map_err(owned)?;
    words(area, "Time of a count in SQLite, µs", (16, 22), HPos::Left, 16, INK)?;
    let mut any_missed = false;
    for (filter, sharings, name, beside) in LINES {
        let mine = |count: &&CountTimes| count.filter == filter && count.sharings == sharings;
        let points: Vec<_> =
            counts.iter().filter(mine).map(|count| (count.rows as f64, count.alone_us)).collect();
        let Some((&first, &last)) = points.first().zip(points.last()) else { continue };
        let is_missed = TARGETS.missed_by(first.1, last.1);
        any_missed |= is_missed;
        let color = if is_missed { MISSED } else { OURS };
        let line = LineSeries::new(points.iter().copied(), color.stroke_width(2));
        chart.draw_series(line).map_err(owned)?;
        let dots = points.iter().map(|&point| Circle::new(point, 3, color.filled()));
        chart.draw_series(dots).map_err(owned)?;
        let (x, y) = chart.backend_coord(&last);
        words(area, name, (x + 10, y + beside), HPos::Left, 13, color)?;
    }
    match any_missed {
        true => words(area, "red: grows with others' rows", (784, 22), HPos::Right, 13, MISSED),
        false => Ok(()),
    }
}
