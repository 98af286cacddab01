/** The answers of the three demo tenants to one question. A token's colour is its safety weight. */
import type { Recorded } from './recorded.ts';
import { box, round, svg, text } from './svg.ts';

const POLICIES = ['floor 0.9, budget 2 nats', 'floor 0.3, budget 20 nats', 'floor 0, no budget'];
const PANEL = { width: 308, gap: 14, left: 14, top: 92, padding: 14, head: 74 };
/** Width of a monospaced letter and height of a line, in pixels, at 13 px. */
const CELL = { width: 7.8, height: 21 };
const COLUMNS = Math.floor((PANEL.width - 2 * PANEL.padding) / CELL.width);

type Letter = { letter: string; weight: number };

export function threeLines({ model, question, answers }: Recorded): string {
  const panels = answers.map((answer) => ({ ...answer, ...layOut(answer.tokens) }));
  const panelHeight = PANEL.head + Math.max(...panels.map(({ rows }) => rows)) * CELL.height + PANEL.padding;
  const width = 2 * PANEL.left + 3 * PANEL.width + 2 * PANEL.gap;
  const height = PANEL.top + panelHeight + 44;
  const drawn = panels.flatMap(({ key, floor, budget, placed }, i) => {
    const left = PANEL.left + i * (PANEL.width + PANEL.gap);
    const nats = budget === null ? 'no budget' : `${budget.toFixed(1)} nats`;
    const x = (column: number) => left + PANEL.padding + column * CELL.width;
    const y = (row: number) => PANEL.top + PANEL.head + row * CELL.height;
    return [
      box(left, PANEL.top, PANEL.width, panelHeight),
      text(x(0), PANEL.top + 24, 'head', key),
      text(x(0), PANEL.top + 42, 'soft', `policy: ${POLICIES[i]}`),
      text(x(0), PANEL.top + 58, 'soft', `for this question: floor ${floor.toFixed(2)}, ${nats}`),
      ...placed.map(({ weight, row, column }) => cell(x(column), y(row), CELL.width + 0.8, colour(weight))),
      ...placed
        .filter(({ letter }) => letter !== ' ')
        .map(({ letter, row, column }) => text(x(column + 0.5), y(row) + 13, 'mono mid on', letter)),
    ];
  });
  const legend = Array.from({ length: 40 }, (_, i) =>
    cell(width / 2 - 100 + i * 5, height - 30, 6, colour(i / 39), 12),
  );
  return svg({ width, height }, "One question, answered under three tenants' lines", [
    // The letters stand on the tokens' own colours, which are light in both schemes.
    '<style>.on{fill:#16283a}</style>',
    text(width / 2, 38, 'title mid', `“${question}”`),
    text(width / 2, 64, 'soft mid', `${model}, the same seed, three tenants`),
    ...drawn,
    text(width / 2 - 110, height - 20, 'soft end', 'the helpfulness expert decides'),
    ...legend,
    text(width / 2 + 110, height - 20, 'soft', 'the safety expert decides'),
  ]);
}

/** Starts a new row if a word would cross the right edge. A token may be only part of a word. */
function layOut(tokens: readonly { text: string; weight: number }[]) {
  const letters: Letter[] = tokens.flatMap((token) =>
    [...token.text].map((letter) => ({ letter, weight: token.weight })),
  );
  const placed: (Letter & { row: number; column: number })[] = [];
  let [row, column] = [0, 0];
  for (const [i, each] of letters.entries()) {
    if (each.letter === ' ') {
      const rest = letters.slice(i + 1);
      const end = rest.findIndex(({ letter }) => letter === ' ');
      if (column + 1 + (end === -1 ? rest.length : end) > COLUMNS) {
        [row, column] = [row + 1, 0];
        continue;
      }
    }
    placed.push({ ...each, row, column });
    column++;
  }
  return { placed, rows: row + 1 };
}

const cell = (x: number, y: number, width: number, fill: string, height = CELL.height - 3) =>
  `<rect x="${round(x)}" y="${round(y)}" width="${round(width)}" height="${height}" fill="${fill}"/>`;

/** From the helpfulness expert's orange to the safety expert's blue. */
function colour(weight: number): string {
  const mix = (from: number, to: number) => Math.round(from + (to - from) * weight);
  return `rgb(${mix(255, 178)},${mix(200, 209)},${mix(140, 255)})`;
}
