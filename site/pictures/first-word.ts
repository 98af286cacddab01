/** How likely each first word is: for either expert alone, and for the mixture of three tenants. */
import type { Answer, Recorded } from './recorded.ts';
import { box, line, round, svg, text } from './svg.ts';

const WORDS = 7;
const ROW = 25;
const LEFT = 96;
const PANEL = { width: 162, gap: 12, top: 96 };
/** Pixels of a bar of 100 %. */
const BAR = 240;

export function firstWord({ question, model, answers }: Recorded): string {
  const words = likeliest(answers);
  const width = LEFT + 5 * PANEL.width + 4 * PANEL.gap + 14;
  const panelHeight = 56 + WORDS * ROW + 10;
  const panels = [
    { head: 'safety', note: 'this expert alone', kind: 'safety', of: words.map(({ safety }) => safety) },
    { head: 'helpfulness', note: 'this expert alone', kind: 'helpfulness', of: words.map((word) => word.helpfulness) },
    ...[...answers].reverse().map((answer) => ({
      head: answer.key.replace('pk-demo-', ''),
      note: `safety weight ${answer.tokens[0]!.weight.toFixed(2)}`,
      kind: 'mixture',
      of: words.map((word) => mixed(answer, word.text)),
    })),
  ];
  const drawn = panels.flatMap(({ head, note, kind, of }, i) => {
    const left = LEFT + i * (PANEL.width + PANEL.gap);
    return [
      box(left, PANEL.top, PANEL.width, panelHeight),
      text(left + 12, PANEL.top + 24, 'head', head),
      text(left + 12, PANEL.top + 41, 'soft', note),
      ...of.flatMap((share, row) => {
        const y = PANEL.top + 58 + row * ROW;
        const long = share * BAR;
        return [
          `<rect class="${kind}" x="${left + 12}" y="${y}" width="${round(long)}" height="15" rx="2"/>`,
          text(left + (share === 0 ? 12 : 18) + long, y + 12, 'soft small', percent(share)),
        ];
      }),
    ];
  });
  const names = words.map(({ text: word }, row) =>
    text(LEFT - 10, PANEL.top + 70 + row * ROW, 'mono end', `${word.trim()}…`),
  );
  return svg({ width, height: PANEL.top + panelHeight + 20 }, 'How likely each first word of the answer is', [
    text(width / 2, 38, 'title mid', `“${question}” How will the answer begin?`),
    text(width / 2, 64, 'soft mid', `${model}: the likeliest first tokens, in percent`),
    ...names,
    ...drawn,
    line('rule dash', [
      [LEFT + 2 * (PANEL.width + PANEL.gap) - PANEL.gap / 2, PANEL.top],
      [LEFT + 2 * (PANEL.width + PANEL.gap) - PANEL.gap / 2, PANEL.top + panelHeight],
    ]),
  ]);
}

type Word = { text: string; safety: number; helpfulness: number; most: number };

/** The likeliest words of any tenant. Those that the safety expert likes come first. */
function likeliest(answers: Recorded['answers']): Word[] {
  const words = new Map<string, Word>();
  for (const { text: word, lp, lp_s, lp_h } of answers.flatMap(({ first }) => first)) {
    const most = Math.max(words.get(word)?.most ?? 0, Math.exp(lp));
    words.set(word, { text: word, safety: Math.exp(lp_s), helpfulness: Math.exp(lp_h), most });
  }
  return [...words.values()]
    .sort((a, b) => b.most - a.most)
    .slice(0, WORDS)
    .sort((a, b) => b.safety - a.safety);
}

/** A word that is not among the candidates cannot come: its share is 0. */
function mixed({ first }: Answer, word: string): number {
  const candidate = first.find(({ text: each }) => each === word);
  return candidate === undefined ? 0 : Math.exp(candidate.lp);
}

const percent = (share: number) => (share === 0 ? '0' : share < 0.01 ? '<1' : String(Math.round(share * 100)));
