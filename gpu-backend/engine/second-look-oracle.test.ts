/**
 * The probabilities of a second look, from a chat's messages to what the receipt gets, compared
 * with the definition over whole hidden states of the slow decoder.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { JUDGEMENTS } from '#shared/line/categories.ts';
import { SignalRules } from '#shared/line/rules.ts';
import type { Message } from '#shared/protocol/generate.ts';
import { tinyBundle } from '../model/fixtures/tiny-bundle.ts';
import { type Bundle, loadBundle } from '../model/load-bundle.ts';
import { renderRows } from '../model/render-rows.ts';
import { slowDecoder } from '../model/testing/slow-decoder.ts';
import { writeBundle } from '../model/write-bundle.ts';
import { bundleVocabulary } from './bundle-vocabulary.ts';
import { OnnxExperts, type OnnxOptions } from './onnx-experts.ts';
import { request } from './testing/engine-contract.ts';
import { schedule } from './testing/schedule.ts';

const WINDOW = 8;
let root: string;
let bundle: Bundle;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'second-look-'));
  await writeBundle(join(root, 'tiny'), tinyBundle({ probeWindow: WINDOW, routers: true }), { dtype: 'f32' });
  bundle = await loadBundle(join(root, 'tiny'));
});
afterAll(() => rm(root, { recursive: true }));

const CHATS: Message[][] = [
  [{ role: 'user', content: 'hi' }],
  [
    { role: 'user', content: 'where is it' },
    { role: 'assistant', content: 'in the tin, where the inner' },
  ],
  [{ role: 'user', content: 'how do I bring the tin in there, again?' }],
  [
    { role: 'system', content: 'be kind' },
    { role: 'user', content: 'where is the inner tin' },
    { role: 'assistant', content: 'there' },
    { role: 'user', content: 'and the outer one?' },
  ],
];

/** Straight from the definition: the strictest over all windows, judgement by judgement. */
function slowLook(messages: readonly Message[]): number[] {
  const ids = bundle.renderChat(messages);
  const { states } = slowDecoder(bundle, ids, () => ({ safety: 1, helpfulness: 0 }));
  const { head, weight, bias } = bundle.probe!;
  const text = (content: string) => bundle.tokenizer.encode(content);
  const strictest = JUDGEMENTS.map(() => 0);
  // The template writes <|bos|>, then for each message its role, its text and <|end|>.
  let at = 1;
  for (const { content } of messages) {
    const length = text(content).length;
    const [from, to] = [at + 1, at + 1 + length];
    at = to + 1;
    // After the text come <|end|> and the role of whoever speaks next.
    const read = to + 1;
    const starts =
      length <= WINDOW
        ? [from]
        : Array.from({ length: Math.ceil(length / WINDOW) }, (_, i) => Math.min(from + i * WINDOW, to - WINDOW));
    for (const start of starts) {
      const end = Math.min(to, start + WINDOW);
      const own = states.slice(start, end);
      const last = states[end === to ? read : end - 1]!;
      const features = head.layers.flatMap((layer) => [
        ...last[layer]!.map((_, i) => own.reduce((sum, token) => sum + token[layer]![i]!, 0) / own.length),
        ...last[layer]!,
      ]);
      for (const [j, judgement] of JUDGEMENTS.entries()) {
        const { a, b } = head.calibration[judgement]!;
        const z = features.reduce((sum, x, i) => sum + x * weight[j * features.length + i]!, bias[j]!);
        strictest[j] = Math.max(strictest[j]!, 1 / (1 + Math.exp(-(a * z + b))));
      }
    }
  }
  return strictest;
}

/** As reported after each of these chats in turn, by an engine that keeps prefixes. */
async function looks(chats: readonly Message[][], options: OnnxOptions = {}, mode: 'logits' | 'layers' = 'logits') {
  const experts = await OnnxExperts.create(bundle, { threads: 1, prefixBytes: 2 ** 26, ...options });
  const { scheduler, run, of } = schedule(experts, {
    vocabulary: bundleVocabulary(bundle),
    proposal: 0.5,
    probe: bundle.probe,
    contextLength: 96,
    limits: { maxPrefillTokens: 40 },
  });
  const found: { probabilities: number[]; cached: number }[] = [];
  for (const [id, messages] of chats.entries()) {
    const { promptIds, looked = [] } = renderRows(messages, bundle);
    const secondLook = { base: 0, rules: SignalRules.parse({}), messages: looked };
    scheduler.submit(id, request({ promptIds, maxTokens: 2, line: { mode }, secondLook }));
    await run();
    const end = of(id).events.at(-1);
    if (end?.type !== 'end') throw of(id).error ?? new Error('no end');
    found.push({
      probabilities: end.second_look!.categories.map(({ probability }) => probability),
      cached: end.usage.prompt_tokens_details!.cached_tokens,
    });
  }
  await experts.dispose();
  return found;
}

/** Four digits are reported, and f32 sums agree with f64 ones to about four. */
const TOLERANCE = 1e-3;

function expectClose(found: readonly number[], wanted: readonly number[]): void {
  expect(found).toHaveLength(wanted.length);
  expect(Math.max(...found.map((p, i) => Math.abs(p - wanted[i]!)))).toBeLessThan(TOLERANCE);
}

test.each<[string, OnnxOptions, 'logits' | 'layers']>([
  ['in one run', {}, 'logits'],
  ['in runs of a few tokens', { runTokens: 5 }, 'logits'],
  ['in the mode layers', {}, 'layers'],
])('the engine finds what the definition says, %s, with and without kept prefixes', async (_, options, mode) => {
  const found = await looks([...CHATS, ...CHATS], options, mode);
  for (const [i, messages] of CHATS.entries()) {
    const wanted = slowLook(messages);
    expectClose(found[i]!.probabilities, wanted);
    expectClose(found[CHATS.length + i]!.probabilities, wanted);
  }
  // The last chat has been read before, up to its last whole block.
  expect(found.at(-1)!.cached).toBeGreaterThanOrEqual(32);
  // They differ, so the comparison means something.
  const [first, second] = CHATS.map(slowLook) as [number[], number[]];
  expect(Math.max(...first.map((p, i) => Math.abs(p - second[i]!)))).toBeGreaterThan(0.05);
});

test('a conversation that goes on finds its earlier messages as they were', async () => {
  const turns = [CHATS[3]!.slice(0, 2), CHATS[3]!];
  const found = await looks(turns);
  for (const [i, messages] of turns.entries()) expectClose(found[i]!.probabilities, slowLook(messages));
  expect(found[1]!.cached).toBeGreaterThanOrEqual(16);
});
