/** The plot of what several positions a question save. */
import type { TopLevelSpec } from 'vega-lite';
import type { Cell } from './remote-positions.ts';

export function positionsPlot(cells: readonly Cell[]): TopLevelSpec {
  const x = {
    field: 'positions',
    type: 'quantitative' as const,
    title: 'most positions a question',
    scale: { type: 'log' as const, base: 2, domain: [1, 16] },
    axis: { values: [1, 2, 4, 8, 16], format: 'd' },
  };
  const color = { field: 'temperature', type: 'nominal' as const, title: 'temperature' };
  const panel = (title: string, values: readonly Cell[], field: 'roundTripsAToken' | 'tokensASecond') => ({
    ...{ title, width: 170, height: 180 },
    data: { values: [...values] },
    mark: { type: 'line' as const, point: true },
    encoding: {
      x,
      y: {
        field,
        type: 'quantitative' as const,
        title: field === 'roundTripsAToken' ? 'round trips a token' : 'tokens/s',
      },
      color,
    },
  });
  const at = (ms: number) => cells.filter(({ roundTripMs }) => roundTripMs === ms);
  const trips = [...new Set(cells.map(({ roundTripMs }) => roundTripMs))];
  return {
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
    hconcat: [
      panel('round trips', at(trips.at(-1)!), 'roundTripsAToken'),
      ...trips.map((ms) => panel(`a round trip of ${ms} ms`, at(ms), 'tokensASecond')),
    ],
  };
}
