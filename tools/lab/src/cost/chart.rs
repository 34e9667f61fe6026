//! What a request costs as a multiple of what it costs Envoy alone, as SVG.

use anyhow::Result;
use plotters::style::text_anchor::HPos;
use serde::Deserialize;
use serde_json::Value;

use super::CaseCosts;
use crate::chart::{Area, Drawn, FAINT, INK, OTHER, OURS, owned, svg, words};
use crate::chart::{PathElement, RGBColor, Rectangle, WHITE};
use plotters::style::Color;

const WIDTH: i32 = 820;
/// Where the bars begin and end.
const LEFT: i32 = 270;
const RIGHT: i32 = 760;
const TOP: i32 = 74;
/// Of a case: two bars and the space below them.
const STEP: i32 = 40;
const BAR: i32 = 14;

/// The floor.
const FLOOR: RGBColor = RGBColor(0xf0, 0xa0, 0x20);

/// Draws two bars for each case, from 0 on; 1 is Envoy alone. From the experiment's figures.
///
/// # Errors
/// If there are none, or they cannot be drawn.
pub fn draw(figures: &Value) -> Result<String> {
    let cases = Vec::<CaseCosts>::deserialize(&figures["cases"])?;
    let bottom = TOP + STEP * i32::try_from(cases.len())?;
    svg((WIDTH.cast_unsigned(), (bottom + 40).cast_unsigned()), |area| {
        draw_on(area, &cases, bottom)
    })
}

fn draw_on(area: &Area, cases: &[CaseCosts], bottom: i32) -> Drawn {
    let title = "Processor time per request, as a multiple of Envoy's without a filter";
    words(area, title, (16, 22), HPos::Left, 16, INK)?;
    for (x, name, color) in [(16, "this filter", OURS), (120, "Envoy's Lua filter", OTHER)] {
        bar(area, [(x, 40), (x + 12, 52)], color)?;
        words(area, name, (x + 18, 46), HPos::Left, 13, INK)?;
    }
    for (x, name, color) in
        [(262, "the least of any wasm filter", FLOOR), (454, "Envoy alone", INK)]
    {
        line(area, x, (38, 54), color, 2)?;
        words(area, name, (x + 7, 46), HPos::Left, 13, INK)?;
    }
    let ratios = cases.iter().flat_map(|case| ["ours", "lua"].map(|of| case.ratio(of, "native")));
    let most = ratios.flatten().fold(1.2, f64::max);
    let x = |ratio: f64| LEFT + (f64::from(RIGHT - LEFT) * ratio / most).round() as i32;
    for ratio in (0..).map(|half| f64::from(half) / 2.0).take_while(|&ratio| ratio <= most) {
        line(area, x(ratio), (TOP - 4, bottom), FAINT, 1)?;
        words(area, &format!("{ratio:.1}"), (x(ratio), bottom + 14), HPos::Center, 13, INK)?;
    }
    for (top, case) in (TOP..).step_by(STEP as usize).zip(cases) {
        let name = format!("{}, {} headers", case.what, case.headers);
        words(area, &name, (LEFT - 10, top + BAR), HPos::Right, 13, INK)?;
        for (top, of, color) in [(top, "ours", OURS), (top + BAR, "lua", OTHER)] {
            let Some(ratio) = case.ratio(of, "native") else { continue };
            bar(area, [(LEFT, top), (x(ratio), top + BAR - 1)], color)?;
            words(area, &format!("{ratio:.2}"), (LEFT + 6, top + BAR / 2), HPos::Left, 12, WHITE)?;
        }
        if let Some(floor) = case.ratio("floor", "native") {
            line(area, x(floor), (top - 4, top + BAR + 3), FLOOR, 2)?;
        }
    }
    line(area, x(1.0), (TOP - 4, bottom), INK, 2)
}

fn line(area: &Area, x: i32, (top, bottom): (i32, i32), color: RGBColor, width: u32) -> Drawn {
    let line = PathElement::new([(x, top), (x, bottom)], color.stroke_width(width));
    area.draw(&line).map_err(owned)
}

fn bar(area: &Area, corners: [(i32, i32); 2], color: RGBColor) -> Drawn {
    area.draw(&Rectangle::new(corners, color.filled())).map_err(owned)
}
