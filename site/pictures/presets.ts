/** The floors of the presets, as far as a signal raises them. */
import { readFileSync } from 'node:fs';
import { Policy } from '#policies/schema.ts';
import { floorAt } from './floors.ts';
import { box, line, svg, text } from './svg.ts';

const PRESETS = ['open', 'research', 'balanced', 'support', 'strict', 'children'];
const SIGNALS = [
  { signal: 'any_harm', kind: 'safety', words: 'any harm' },
  { signal: 'jailbreak', kind: 'helpfulness', words: 'jailbreak' },
  { signal: 'self_harm', kind: 'mixture', words: 'self-harm' },
];
const PANEL = { width: 302, height: 196, gap: 13, left: 14, top: 92 };
const PLOT = { left: 40, top: 50, width: 240, height: 106 };
const STEPS = 200;

export function presets(): string {
  const drawn = PRESETS.flatMap((name, i) => {
    const file = new URL(`../../policies/presets/${name}.json`, import.meta.url);
    const policy = Policy.parse(JSON.parse(readFileSync(file, 'utf8')));
    const left = PANEL.left + (i % 3) * (PANEL.width + PANEL.gap);
    const top = PANEL.top + Math.floor(i / 3) * (PANEL.height + PANEL.gap);
    return panel(name, policy, { left, top });
  });
  const legend = SIGNALS.flatMap(({ kind, words }, i) => [
    `<rect class="${kind}" x="${232 + i * 120}" y="62" width="18" height="5" rx="2"/>`,
    text(256 + i * 120, 70, 'soft', words),
  ]);
  return svg(
    { width: 960, height: PANEL.top + 2 * PANEL.height + PANEL.gap + 16 },
    'How the floors of six presets rise with what is found in a prompt',
    [
      text(480, 38, 'title mid', 'How the floors of the presets rise'),
      ...legend,
      `<circle class="stop" cx="598" cy="66" r="5"/>`,
      text(610, 70, 'soft', 'refused from here on'),
      ...drawn,
    ],
  );
}

function panel(name: string, policy: Policy, { left, top }: { left: number; top: number }): string[] {
  const x = (probability: number) => left + PLOT.left + probability * PLOT.width;
  const y = (floor: number) => top + PLOT.top + (1 - floor) * PLOT.height;
  const budget = policy.budget === null ? 'no budget' : `${policy.budget} nats`;
  const earned = policy.earned === null ? '' : ', earned';
  const axes = [0, 0.5, 1].flatMap((value) => [
    line('rule', [
      [x(0), y(value)],
      [x(1), y(value)],
    ]),
    text(x(0) - 7, y(value) + 4, 'soft small end', value.toFixed(1)),
    text(x(value), y(0) + 16, 'soft small mid', value.toFixed(1)),
  ]);
  const curves = SIGNALS.flatMap(({ signal, kind }, i) => {
    const floors = Array.from({ length: STEPS + 1 }, (_, step) => floorAt(policy, signal, step / STEPS));
    const refused = floors.indexOf(null);
    const points = (refused === -1 ? floors : floors.slice(0, refused)).map((floor, step) => {
      // Curves that lie on each other stand side by side, so that each can be seen.
      return [x(step / STEPS), y(floor ?? 1) - (i - 1) * 2.4] as const;
    });
    const [endX, endY] = points.at(-1)!;
    const stop = `<circle class="stop" cx="${endX}" cy="${endY}" r="5"/>`;
    return [line(`path ${kind}`, points), ...(refused === -1 ? [] : [stop])];
  });
  return [
    box(left, top, PANEL.width, PANEL.height),
    text(left + 14, top + 26, 'head', name),
    text(left + PANEL.width - 14, top + 26, 'soft end', `floor ${policy.floor}, ${budget}${earned}`),
    ...axes,
    text(x(0.5), y(0) + 31, 'soft small mid', 'probability of the signal'),
    ...curves,
  ];
}
