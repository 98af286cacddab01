/**
 * Draws docs/three-lines.svg: the answers of the three demo tenants to one question, with every
 * token in the colour of its safety weight. The model samples as its bundle says. It needs a
 * running stack:
 *
 *     npm start
 *     node scripts/launch.mjs scripts/draw-three-lines.ts [--model plimsoll-demo] [--seed 1]
 *
 * The words depend on the stack's draw secret, so each stack gives a different picture.
 */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import * as z from 'zod';

const { values } = parseArgs({
  options: {
    url: { type: 'string', default: 'http://127.0.0.1:8787' },
    seed: { type: 'string', default: '1' },
    model: { type: 'string', default: 'smollm2-135m-instruct' },
    'max-tokens': { type: 'string', default: '80' },
    question: { type: 'string', default: 'Can I mix bleach and toilet cleaner?' },
  },
});

const TENANTS = [
  { key: 'pk-demo-strict', asks: 'floor 0.9, budget 2 nats' },
  { key: 'pk-demo-balanced', asks: 'floor 0.3, budget 20 nats' },
  { key: 'pk-demo-open', asks: 'floor 0, no budget' },
];

/** The fields that we read from an answer with `"trace": "tokens"`. */
const Chunk = z.object({
  plimsoll: z
    .object({
      tokens: z.array(z.object({ text: z.string(), weight: z.number() })).optional(),
      floor: z.number().optional(),
      budget: z.number().nullable().optional(),
    })
    .optional(),
});
type Token = { text: string; weight: number };
type Answer = { tokens: Token[]; floor: number; budget: number | null };

async function ask(key: string): Promise<Answer> {
  const response = await fetch(`${values.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      model: values.model,
      messages: [{ role: 'user', content: values.question }],
      stream: true,
      seed: Number(values.seed),
      max_tokens: Number(values['max-tokens']),
      plimsoll: { trace: 'tokens' },
    }),
  });
  if (!response.ok) throw new Error(`${key}: ${response.status} ${await response.text()}`);
  const answer: Answer = { tokens: [], floor: 0, budget: null };
  for (const line of (await response.text()).split('\n')) {
    if (!line.startsWith('data: {')) continue;
    const { plimsoll } = Chunk.parse(JSON.parse(line.slice('data: '.length)));
    answer.tokens.push(...(plimsoll?.tokens ?? []));
    if (plimsoll?.floor !== undefined) answer.floor = plimsoll.floor;
    if (plimsoll?.budget !== undefined) answer.budget = plimsoll.budget;
  }
  return answer;
}

const PANEL = { width: 308, gap: 14, left: 14, top: 92, padding: 14 };
/** Width of a monospaced letter and height of a text line, in pixels, at 13 px. */
const CELL = { width: 7.8, height: 21 };
const COLUMNS = Math.floor((PANEL.width - 2 * PANEL.padding) / CELL.width);

/** Starts a new row if a word would cross the right edge. A token may be only part of a word. */
function layOut(tokens: readonly Token[]): { placed: (Token & { row: number; column: number })[]; rows: number } {
  const letters = tokens.flatMap(({ text, weight }) => [...text].map((letter) => ({ letter, weight })));
  const placed: (Token & { row: number; column: number })[] = [];
  let [row, column] = [0, 0];
  for (const [i, { letter, weight }] of letters.entries()) {
    if (letter === ' ') {
      const rest = letters.slice(i + 1);
      const end = rest.findIndex((next) => next.letter === ' ');
      const word = end === -1 ? rest.length : end;
      if (column + 1 + word > COLUMNS) {
        [row, column] = [row + 1, 0];
        continue;
      }
    }
    placed.push({ text: letter, weight, row, column });
    column++;
  }
  return { placed, rows: row + 1 };
}

/** From the helpfulness expert's orange to the safety expert's blue. */
function colour(weight: number): string {
  const mix = (from: number, to: number) => Math.round(from + (to - from) * weight);
  return `rgb(${mix(255, 178)},${mix(200, 209)},${mix(140, 255)})`;
}

const escapeXml = (text: string) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

const answers = await Promise.all(TENANTS.map(async (tenant) => ({ ...tenant, ...(await ask(tenant.key)) })));
const panels = answers.map((answer) => ({ ...answer, ...layOut(answer.tokens) }));
const textRows = Math.max(...panels.map(({ rows }) => rows));
const panelHeight = 74 + textRows * CELL.height + PANEL.padding;
const width = 2 * PANEL.left + 3 * PANEL.width + 2 * PANEL.gap;
const height = PANEL.top + panelHeight + 44;

const drawn = panels.map(({ key, asks, floor, budget, placed }, i) => {
  const left = PANEL.left + i * (PANEL.width + PANEL.gap);
  const at = ({ row, column }: { row: number; column: number }) => ({
    x: left + PANEL.padding + column * CELL.width,
    y: PANEL.top + 74 + row * CELL.height,
  });
  const marks = placed.map((letter) => {
    const { x, y } = at(letter);
    return `<rect x="${x.toFixed(1)}" y="${y}" width="${CELL.width + 0.2}" height="${CELL.height - 3}" fill="${colour(letter.weight)}"/>`;
  });
  const letters = placed
    .filter(({ text }) => text !== ' ')
    .map((letter) => {
      const { x, y } = at(letter);
      return `<text class="m" x="${(x + CELL.width / 2).toFixed(1)}" y="${y + 13}" text-anchor="middle">${escapeXml(letter.text)}</text>`;
    });
  const nats = budget === null ? 'no budget' : `${budget.toFixed(1)} nats`;
  return [
    `<rect class="box" x="${left}" y="${PANEL.top}" width="${PANEL.width}" height="${panelHeight}" rx="8"/>`,
    `<text class="h" x="${left + PANEL.padding}" y="${PANEL.top + 24}">${key}</text>`,
    `<text class="s" x="${left + PANEL.padding}" y="${PANEL.top + 42}">policy: ${asks}</text>`,
    `<text class="s" x="${left + PANEL.padding}" y="${PANEL.top + 58}">here: floor ${floor.toFixed(2)}, ${nats}</text>`,
    ...marks,
    ...letters,
  ].join('\n');
});

const legend = Array.from({ length: 40 }, (_, i) => {
  const x = width / 2 - 100 + i * 5;
  return `<rect x="${x}" y="${height - 30}" width="5.2" height="12" fill="${colour(i / 39)}"/>`;
});

const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="system-ui, sans-serif" font-size="13" role="img" aria-label="One question, answered under three tenants' lines; each token has the colour of its safety weight">
<style>.box{fill:#fff;stroke:#23415f;stroke-width:1.2}.h{fill:#16283a;font-weight:600;font-size:15px}.s{fill:#4c6277;font-size:12px}.q{fill:#16283a;font-size:17px}.m{fill:#16283a;font-family:ui-monospace,Menlo,Consolas,monospace;font-size:13px}</style>
<rect width="${width}" height="${height}" rx="10" fill="#f4f7fa"/>
<text class="q" x="${width / 2}" y="38" text-anchor="middle">“${escapeXml(values.question)}”</text>
<text class="s" x="${width / 2}" y="64" text-anchor="middle">${escapeXml(values.model)}, the same seed, three tenants</text>
${drawn.join('\n')}
<text class="s" x="${width / 2 - 110}" y="${height - 20}" text-anchor="end">the helpfulness expert decides</text>
${legend.join('\n')}
<text class="s" x="${width / 2 + 110}" y="${height - 20}">the safety expert decides</text>
</svg>
`;
const file = path.join(import.meta.dirname, '../docs/three-lines.svg');
writeFileSync(file, svg);
for (const { key, floor, budget, tokens } of answers) {
  console.log(`${key}  floor ${floor}, budget ${budget}\n  ${tokens.map(({ text }) => text).join('')}`);
}
console.log(file);
