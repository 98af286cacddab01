/** What three answers have spent, token by token, and how much two tenants may spend. */
import type { Answer, Recorded } from './recorded.ts';
import { box, line, svg, text } from './svg.ts';

const PLOT = { left: 70, top: 84, width: 560, height: 290 };
const MOST_NATS = 14;
const WIDTH = 960;

export function budgetSpent({ question, answers, uncapped }: Recorded): string {
  const [strict, balanced] = answers;
  const longest = Math.max(...[strict, balanced, uncapped].map(({ tokens }) => tokens.length));
  const x = (token: number) => PLOT.left + (token / longest) * PLOT.width;
  const y = (nats: number) => PLOT.top + PLOT.height - (nats / MOST_NATS) * PLOT.height;
  const spent = ({ tokens }: Answer) => tokens.map((token, i) => [x(i + 1), y(token.spent ?? 0)] as const);
  const right = PLOT.left + PLOT.width;
  const cap = ({ budget }: Answer, name: string, { kind, left }: { kind: string; left: boolean }) => [
    line(`path dash ${kind}`, [
      [PLOT.left, y(budget ?? 0)],
      [right, y(budget ?? 0)],
    ]),
    text(
      left ? PLOT.left + 8 : right - 8,
      y(budget ?? 0) - 7,
      left ? 'soft' : 'soft end',
      `${name} may spend ${budget?.toFixed(1)} nats`,
    ),
  ];
  const grid = [0, 2, 4, 6, 8, 10, 12].flatMap((nats) => [
    line('rule', [
      [PLOT.left - 4, y(nats)],
      [PLOT.left, y(nats)],
    ]),
    text(PLOT.left - 8, y(nats) + 4, 'soft end', String(nats)),
  ]);
  const notes = [
    { kind: 'helpfulness', head: 'no budget', answer: uncapped },
    { kind: 'mixture', head: 'balanced', answer: balanced },
    { kind: 'safety', head: 'strict', answer: strict },
  ].flatMap(({ kind, head, answer }, i) => {
    const top = PLOT.top + i * 108;
    return [
      `<rect class="${kind}" x="${right + 26}" y="${top + 4}" width="14" height="5" rx="2"/>`,
      text(right + 48, top + 12, 'head', `${head}: ${answer.tokens.at(-1)?.spent?.toFixed(1)} nats spent`),
      ...wrapped(`“${wordsOf(answer)}”`, 42, 4).map((row, j) => text(right + 48, top + 31 + j * 16, 'soft', row)),
    ];
  });
  return svg({ width: WIDTH, height: 440 }, 'Nats that three answers have spent, token by token, under their budgets', [
    text(WIDTH / 2, 38, 'title mid', `“${question}” What each answer spends`),
    text(
      WIDTH / 2,
      62,
      'soft mid',
      'nats: how much likelier the answer so far is than under the safety expert, as a logarithm',
    ),
    box(PLOT.left, PLOT.top, PLOT.width, PLOT.height),
    ...grid,
    ...cap(balanced, 'balanced', { kind: 'mixture', left: true }),
    ...cap(strict, 'strict', { kind: 'safety', left: false }),
    line('path helpfulness', [[x(0), y(0)], ...spent(uncapped)]),
    line('path mixture', [[x(0), y(0)], ...spent(balanced)]),
    line('path safety', [[x(0), y(0)], ...spent(strict)]),
    text(PLOT.left + PLOT.width / 2, PLOT.top + PLOT.height + 28, 'soft mid', 'tokens of the answer'),
    ...notes,
  ]);
}

const wordsOf = ({ tokens }: Answer) =>
  tokens
    .map((token) => token.text)
    .join('')
    .trim();

/** Rows of at most `columns` letters. What does not fit ends with an ellipsis. */
function wrapped(words: string, columns: number, most: number): string[] {
  const rows: string[] = [];
  for (const word of words.split(' ')) {
    const last = rows.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= columns) rows[rows.length - 1] = `${last} ${word}`;
    else rows.push(word);
  }
  return rows.length <= most ? rows : [...rows.slice(0, most - 1), `${rows[most - 1]} …`];
}
