/** Vega-Lite to SVG, without a browser or a canvas. */
import * as vega from 'vega';
import { compile, type TopLevelSpec } from 'vega-lite';
import { textWidth } from './text-width.ts';
import { THEME } from './theme.ts';

/** Throws if the spec is not valid. */
export async function renderSvg(spec: TopLevelSpec): Promise<string> {
  measureText();
  const { spec: parsed } = compile({ ...spec, config: { ...THEME, ...spec.config } });
  const view = new vega.View(vega.parse(parsed), { renderer: 'none', logLevel: vega.Error });
  try {
    return await view.toSVG();
  } finally {
    view.finalize();
  }
}

/**
 * Without a canvas Vega assumes 0.8 of the font size per letter. That pulls legends apart and
 * leaves a margin next to long titles. Vega keeps its text measure in an exported object that its
 * types do not name.
 */
function measureText(): void {
  const { textMetrics } = vega as unknown as { textMetrics: TextMetrics };
  textMetrics.width = (item, text) => textWidth(String(text ?? item.text ?? ''), item.fontSize ?? 11);
}
type TextMetrics = { width(item: { text?: unknown; fontSize?: number }, text?: unknown): number };

/** A domain with round ends that contains all values, with a little room on both sides. */
export function niceDomain(
  values: readonly number[],
  { within }: { within: readonly [number, number] },
): [number, number] {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const span = Math.max(high - low, 1e-6);
  const step = 10 ** Math.floor(Math.log10(span)) / 5;
  const air = 0.04 * span;
  return [
    Math.max(within[0], Math.floor((low - air) / step) * step),
    Math.min(within[1], Math.ceil((high + air) / step) * step),
  ];
}

/** Maps a value to pixels as a linear scale does, for what we place by hand. */
export const pixels =
  ([low, high]: readonly [number, number], [from, to]: readonly [number, number]) =>
  (value: number): number =>
    from + ((value - low) / (high - low)) * (to - from);
