//! The time of a count over the rows of the table, both logarithmic.

use plotters::prelude::*;
use testkit::{Error, Result};

use super::counts::Cell;
use super::rows::Side;

const SIZE: (u32, u32) = (800, 420);
const BLUE: RGBColor = RGBColor(0x1f, 0x6f, 0xb4);
const RED: RGBColor = RGBColor(0xc4, 0x4e, 0x52);
const GREY: RGBColor = RGBColor(0x77, 0x77, 0x77);

/// The counts that are drawn: filter, the project's sharings, its name, colour, and where beside
/// the line's end the name stands.
const LINES: [(&str, u64, &str, RGBColor, i32); 7] = [
    ("name", 100_000, "name, 100,000 sharings", RED, -7),
    ("none", 100_000, "no filter, 100,000", BLUE, -7),
    ("status", 100_000, "status, 100,000", GREY, -7),
    ("name", 1_000, "name, 1000", RED, -7),
    ("none", 1_000, "no filter, 1000", BLUE, -7),
    ("volume_id", 100_000, "volume_id, 100,000", GREY, -14),
    ("none", 10, "no filter, 10", BLUE, 0),
];

type Drawn = std::result::Result<(), Box<dyn std::error::Error>>;

/// Draws what projects share, counted by SQLite alone.
pub fn draw(cells: &[Cell]) -> Result<String> {
    let mut svg = String::new();
    draw_on(&mut svg, cells).map_err(Error::while_doing("draw the chart"))?;
    Ok(svg)
}

fn draw_on(svg: &mut String, cells: &[Cell]) -> Drawn {
    let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    area.fill(&WHITE).map_err(text)?;
    let mut chart = ChartBuilder::on(&area)
        .caption("Time of a count in SQLite, µs", ("sans-serif", 16))
        .margin(12)
        .margin_right(170)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d((8e3..1.2e7).log_scale(), (1.0..2e4).log_scale())
        .map_err(text)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc("rows of all projects")
        .x_label_formatter(&|rows| power(*rows))
        .y_label_formatter(&|micros| format!("{micros}"))
        .draw()
        .map_err(text)?;
    for (filter, size, name, color, beside) in LINES {
        let points = cells.iter().filter(|cell| {
            cell.project.side == Side::From
                && cell.project.size == size
                && cell.filters.name == filter
        });
        let points: Vec<_> = points.map(|cell| (cell.rows as f64, cell.alone.least)).collect();
        let Some(&last) = points.last() else {
            continue;
        };
        let line = LineSeries::new(points.iter().copied(), color.stroke_width(2));
        chart.draw_series(line).map_err(text)?;
        let dots = points.iter().map(|&point| Circle::new(point, 3, color.filled()));
        chart.draw_series(dots).map_err(text)?;
        let style = ("sans-serif", 13).into_font().color(&color);
        let (x, y) = chart.backend_coord(&last);
        let style = style.into_text_style(&area);
        area.draw_text(name, &style, (x + 10, y + beside)).map_err(text)?;
    }
    area.present().map_err(text)?;
    Ok(())
}

/// 10^4, and so on.
fn power(rows: f64) -> String {
    format!("10^{:.0}", rows.log10())
}

/// An error that does not borrow the chart.
fn text(error: impl std::fmt::Display) -> Box<dyn std::error::Error> {
    error.to_string().into()
}
