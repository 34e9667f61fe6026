//! What a request costs as a multiple of what it costs Envoy alone, as SVG.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use testkit::{Error, Result};

use super::bench::Contender;
use super::row::Row;

const WIDTH: i32 = 820;
/// Where the bars begin and end.
const LEFT: i32 = 270;
const RIGHT: i32 = 760;
const TOP: i32 = 74;
/// Of a case: two bars and the space below them.
const STEP: i32 = 40;
const BAR: i32 = 14;

const OURS: RGBColor = RGBColor(0x1f, 0x6f, 0xb4);
const LUA: RGBColor = RGBColor(0xb0, 0xb0, 0xb0);
const FLOOR: RGBColor = RGBColor(0xf0, 0xa0, 0x20);
const INK: RGBColor = RGBColor(0x33, 0x33, 0x33);
const FAINT: RGBColor = RGBColor(0xdd, 0xdd, 0xdd);

type Drawn = std::result::Result<(), Box<dyn std::error::Error>>;
type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

/// Draws two bars for each row, from 0 on; 1 is Envoy alone.
pub fn draw(rows: &[Row]) -> Result<String> {
    let mut svg = String::new();
    draw_on(&mut svg, rows).map_err(Error::while_doing("draw the chart"))?;
    Ok(svg)
}

fn draw_on(svg: &mut String, rows: &[Row]) -> Drawn {
    let bottom = TOP + STEP * i32::try_from(rows.len())?;
    let size = (u32::try_from(WIDTH)?, u32::try_from(bottom + 40)?);
    let area = SVGBackend::with_string(svg, size).into_drawing_area();
    area.fill(&WHITE).map_err(text)?;
    write(
        &area,
        (16, 22),
        HPos::Left,
        16,
        INK,
        "Processor time per request, as a multiple of Envoy's without a filter",
    )?;
    legend(&area)?;

    let ratios =
        rows.iter().flat_map(|row| [ratio(row, &Contender::Ours), ratio(row, &Contender::Lua)]);
    let most = ratios.fold(1.2, f64::max);
    let x = |ratio: f64| LEFT + (f64::from(RIGHT - LEFT) * ratio / most).round() as i32;
    let mark = |tenths: i32, color: RGBColor, width: u32| {
        let x = x(f64::from(tenths) / 10.0);
        line(&area, [(x, TOP - 4), (x, bottom)], color.stroke_width(width))
    };
    for tenths in (0..).step_by(5).take_while(|&tenths| f64::from(tenths) / 10.0 <= most) {
        let ratio = f64::from(tenths) / 10.0;
        mark(tenths, FAINT, 1)?;
        write(&area, (x(ratio), bottom + 14), HPos::Center, 13, INK, &format!("{ratio:.1}"))?;
    }
    for (at, row) in (0..).zip(rows) {
        let top = TOP + STEP * at;
        let name = format!("{}, {} headers", row.case.what, row.headers);
        write(&area, (LEFT - 10, top + BAR), HPos::Right, 13, INK, &name)?;
        for (bar, contender, color, ink) in
            [(0, Contender::Ours, OURS, WHITE), (1, Contender::Lua, LUA, INK)]
        {
            let ratio = ratio(row, &contender);
            if ratio.is_nan() {
                continue; // It was not measured.
            }
            let (upper, lower) = (top + BAR * bar, top + BAR * (bar + 1) - 1);
            let bar = Rectangle::new([(LEFT, upper), (x(ratio), lower)], color.filled());
            area.draw(&bar).map_err(text)?;
            let middle = (LEFT + 6, upper + BAR / 2);
            write(&area, middle, HPos::Left, 12, ink, &format!("{ratio:.2}"))?;
        }
        let tick = |ratio: f64, color: RGBColor| match ratio.is_nan() {
            true => Ok(()), // It was not measured.
            false => {
                let at = x(ratio);
                line(&area, [(at, top - 4), (at, top + BAR + 3)], color.stroke_width(2))
            }
        };
        tick(self::ratio(row, &Contender::Floor), FLOOR)?;
    }
    mark(10, INK, 2)?;
    area.present().map_err(text)?;
    Ok(())
}

fn legend(area: &Area) -> Drawn {
    for (at, name, color) in [(16, "this filter", OURS), (120, "Envoy's Lua filter", LUA)] {
        let square = Rectangle::new([(at, 40), (at + 12, 52)], color.filled());
        area.draw(&square).map_err(text)?;
        write(area, (at + 18, 46), HPos::Left, 13, INK, name)?;
    }
    for (at, name, color) in
        [(262, "the least of any wasm filter", FLOOR), (454, "Envoy alone", INK)]
    {
        line(area, [(at, 38), (at, 54)], color.stroke_width(2))?;
        write(area, (at + 7, 46), HPos::Left, 13, INK, name)?;
    }
    Ok(())
}

fn ratio(row: &Row, of: &Contender) -> f64 {
    row.ratio(of, &Contender::Native).least
}

fn line(area: &Area, points: [(i32, i32); 2], style: ShapeStyle) -> Drawn {
    Ok(area.draw(&PathElement::new(points, style)).map_err(text)?)
}

fn write(
    area: &Area,
    at: (i32, i32),
    anchor: HPos,
    size: i32,
    color: RGBColor,
    words: &str,
) -> Drawn {
    let style = ("sans-serif", size).into_font().color(&color).pos(Pos::new(anchor, VPos::Center));
    Ok(area.draw(&Text::new(words, at, style)).map_err(text)?)
}

/// An error that does not borrow the area.
fn text(error: impl std::error::Error) -> String {
    error.to_string()
}
