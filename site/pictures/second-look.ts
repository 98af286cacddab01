/** A prompt that the edge reads as harmless and a backend does not, and what the rule does then. */
import { readFileSync } from 'node:fs';
import { Policy } from '#policies/schema.ts';
import { floorAt } from './floors.ts';
import type { Recorded } from './recorded.ts';
import { box, line, round, svg, text } from './svg.ts';

const BALANCED = new URL('../../policies/demo/balanced.json', import.meta.url);
const PANEL = { top: 92, height: 300 };
const BARS = { left: 14, width: 460, from: 190, long: 240 };
const RAMP = { left: 560, width: 370, top: 130, height: 220 };
const SHOWN = 6;

export function secondLook({ second_look: look }: Recorded): string {
  const policy = Policy.parse(JSON.parse(readFileSync(BALANCED, 'utf8')));
  const found = new Map(look.edge.map(({ name, probability }) => [name, { edge: probability, backend: 0 }]));
  for (const { name, probability } of look.backend) found.get(name)!.backend = probability;
  const rows = [...found]
    .sort(([, a], [, b]) => Math.max(b.edge, b.backend) - Math.max(a.edge, a.backend))
    .slice(0, SHOWN);
  const bars = rows.flatMap(([name, { edge, backend }], i) => {
    const y = PANEL.top + 44 + i * 41;
    return [
      text(BARS.from - 12, y + 16, 'end', name),
      bar('soft-bar', y, edge),
      bar('safety', y + 14, backend),
      text(BARS.from + BARS.long * edge + 6, y + 10, 'soft small', edge.toFixed(2)),
      text(BARS.from + BARS.long * backend + 6, y + 24, 'soft small', backend.toFixed(2)),
    ];
  });
  const x = (probability: number) => RAMP.left + probability * RAMP.width;
  const y = (floor: number) => RAMP.top + RAMP.height * (1 - floor);
  const curve = Array.from({ length: 101 }, (_, i) => {
    return [x(i / 100), y(floorAt(policy, look.because, i / 100) ?? 1)] as const;
  });
  const at = (probability: number, words: string, kind: string, up: number, where: string) => {
    const floor = floorAt(policy, look.because, probability) ?? 1;
    const to = where === 'end' ? x(probability) - 10 : x(probability) + 10;
    return [
      `<circle class="${kind}" cx="${round(x(probability))}" cy="${round(y(floor))}" r="6"/>`,
      text(to, y(floor) + up, where, `${words}: floor ${floor.toFixed(1)}`),
    ];
  };
  const { edge, backend } = found.get(look.because)!;
  return svg({ width: 960, height: 412 }, 'What two looks at one prompt find, and the floor that follows', [
    '<style>.soft-bar{fill:var(--soft)}</style>',
    text(480, 38, 'title mid', `“${look.question}”`),
    text(480, 64, 'soft mid', `the tenant ${look.key.replace('pk-', '')}: the stricter of the two looks counts`),
    box(BARS.left, PANEL.top, BARS.width, PANEL.height),
    text(BARS.left + 14, PANEL.top + 26, 'head', 'What each look finds'),
    `<rect class="soft-bar" x="${BARS.left + 206}" y="${PANEL.top + 16}" width="14" height="9" rx="2"/>`,
    text(BARS.left + 226, PANEL.top + 25, 'soft', 'the edge, by words'),
    `<rect class="safety" x="${BARS.left + 354}" y="${PANEL.top + 16}" width="14" height="9" rx="2"/>`,
    text(BARS.left + 374, PANEL.top + 25, 'soft', 'the backend'),
    ...bars,
    box(486, PANEL.top, 460, PANEL.height),
    text(500, PANEL.top + 26, 'head', `The rule for ${look.because}`),
    ...[0, 0.5, 1].flatMap((floor) => [
      line('rule', [
        [x(0), y(floor)],
        [x(1), y(floor)],
      ]),
      text(x(0) - 8, y(floor) + 4, 'soft end', floor.toFixed(1)),
    ]),
    ...[0, 0.5, 0.9].map((probability) => text(x(probability), y(0) + 18, 'soft mid', String(probability))),
    text(x(0.5), y(0) + 34, 'soft mid', 'probability of the category'),
    line('path mixture', curve),
    ...at(edge, 'after the edge', 'soft-bar', 22, ''),
    ...at(backend, 'after the second look', 'safety', -12, 'end'),
  ]);
}

const bar = (kind: string, y: number, probability: number) =>
  `<rect class="${kind}" x="${BARS.from}" y="${y}" width="${round(Math.max(1, probability * BARS.long))}" height="11" rx="2"/>`;
