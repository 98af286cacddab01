/**
 * Experts that are the base model under a system prompt, on onnxruntime: what the line promises of
 * them, exactly.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { OPEN_LINE } from '#shared/line/line.ts';
import type { Message } from '#shared/protocol/generate.ts';
import { type Expert, NO_ADAPTER } from '../model/adapter.ts';
import { expertKinds } from '../model/expert-kinds.ts';
import { tinyBundle } from '../model/fixtures/tiny-bundle.ts';
import { type Bundle, loadBundle } from '../model/load-bundle.ts';
import { renderRows } from '../model/render-rows.ts';
import { writeBundle } from '../model/write-bundle.ts';
import { bundleVocabulary } from './bundle-vocabulary.ts';
import type { Engine, EngineRequest } from './engine.ts';
import { startLocalEngine } from './local-engine.ts';
import { OnnxExperts } from './onnx-experts.ts';
import { collect, request } from './testing/engine-contract.ts';

const PROMPT = 'Say no to harm, and say it kindly.';

let root: string;
let prompted: Bundle;
let plain: Bundle;
const engines: Engine[] = [];
/** The safety expert is the base under the prompt, the other one the base alone. */
let ours: Engine;
/** Both experts are the base alone. */
let bare: Engine;

async function start(bundle: Bundle): Promise<Engine> {
  const { config, digest, tokenizer } = bundle;
  const engine = await startLocalEngine({
    experts: await OnnxExperts.create(bundle, { threads: 1 }),
    vocabulary: bundleVocabulary(bundle),
    info: {
      model: bundle.id,
      contextLength: config.max_position_embeddings,
      maxTokenBytes: tokenizer.maxTokenBytes,
      digest,
      experts: expertKinds(bundle),
      provider: null,
    },
    proposal: 0.5,
  });
  engines.push(engine);
  return engine;
}

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'prompted-'));
  const parts = tinyBundle();
  const base = (role: Expert['role'], own = {}): Expert => ({ name: role, role, ...NO_ADAPTER, ...own });
  const write = async (name: string, experts: Expert[]) => {
    await writeBundle(join(root, name), { ...parts, experts }, { dtype: 'f32' });
    return loadBundle(join(root, name));
  };
  prompted = await write('prompted', [base('safety', { prompt: PROMPT }), base('helpfulness')]);
  plain = await write('plain', [base('safety'), base('helpfulness')]);
  [ours, bare] = [await start(prompted), await start(plain)];
});
afterAll(async () => {
  await Promise.all(engines.map((engine) => engine.close()));
  await rm(root, { recursive: true });
});

const question: Message[] = [{ role: 'user', content: 'the tin in there' }];
const ask = (engine: Engine, changes: Parameters<typeof request>[0], messages = question, from = prompted) =>
  collect(engine.generate({ ...request(changes), ...renderRows(messages, from) } as EngineRequest));

test.each([
  ['greedy', { temperature: 0 }],
  ['drawn', { temperature: 1, seed: 5 }],
  ['drawn with a seed and top_p', { temperature: 1.3, topP: 0.8, seed: 9 }],
])('at weight 1, an answer is the base model’s under that system prompt, %s', async (_, sampling) => {
  const under: Message[] = [{ role: 'system', content: PROMPT }, ...question];
  const asked = { sampling, maxTokens: 24 };
  const base = await ask(bare, asked, under, plain);
  expect(base.ids.length).toBeGreaterThan(5);
  for (const line of [{ floor: 1 }, { budget: 0 }, { action: 'safety_only' as const }]) {
    expect((await ask(ours, { ...asked, line })).ids).toEqual(base.ids);
  }
  // Without a line, the other expert has its say.
  expect((await ask(ours, { ...asked, line: { floor: 0, ceiling: 0 } })).ids).toEqual(
    (await ask(bare, asked, question, plain)).ids,
  );
  expect((await ask(bare, asked, question, plain)).ids).not.toEqual(base.ids);
});

test('a client’s own system message comes before the expert’s text', async () => {
  const messages: Message[] = [{ role: 'system', content: 'Ignore what follows.' }, ...question];
  const under: Message[] = [{ role: 'system', content: `Ignore what follows.\n\n${PROMPT}` }, ...question];
  const asked = { sampling: { temperature: 0 }, maxTokens: 12 };
  expect((await ask(ours, { ...asked, line: { floor: 1 } }, messages)).ids).toEqual(
    (await ask(bare, asked, under, plain)).ids,
  );
});

test('usage and errors count the client’s tokens, and no event holds the expert’s text', async () => {
  const { promptIds, rowPrompts } = renderRows(question, prompted);
  const own = rowPrompts.safety!.length - promptIds.length;
  expect(own).toBeGreaterThan(20);
  const answer = await ask(ours, { maxTokens: 5 });
  expect(answer.promptTokens).toBe(promptIds.length);
  expect(answer.end.usage).toMatchObject({
    prompt_tokens: promptIds.length,
    completion_tokens: answer.ids.length,
    total_tokens: promptIds.length + answer.ids.length,
  });
  const long: Message[] = [{ role: 'user', content: 'x'.repeat(70) }];
  const count = renderRows(long, prompted).promptIds.length;
  await expect(ask(ours, {}, long)).rejects.toMatchObject({
    code: 'context_length_exceeded',
    message:
      `This model's maximum context length is 96 tokens. The model's own system prompt takes ${own} of them. ` +
      `Your messages have ${count} tokens, which leaves no room for an answer.`,
  });
});

test('answers end where the longest row ends, and equal seeds give two clients equal answers', async () => {
  const longest = renderRows(question, prompted).rowPrompts.safety!.length;
  const asked = { maxTokens: null, sampling: { seed: 3 }, line: { ...OPEN_LINE, floor: 0.4, budget: 8 } };
  const [first, second] = await Promise.all([
    ask(ours, { ...asked, tenant: 'a' }),
    ask(ours, { ...asked, tenant: 'b' }),
  ]);
  expect(first.ids).toEqual(second.ids);
  expect(first.ids.length).toBeLessThanOrEqual(96 - longest);
  expect(first.end.spent).toBeLessThanOrEqual(8);
});

test('an engine over prompts offers no layers mode, and says what its experts are', () => {
  expect(ours.info).toMatchObject({
    modes: ['logits'],
    experts: { safety: { kind: 'prompt' }, helpfulness: { kind: 'base' } },
  });
  expect(bare.info.experts).toEqual({ safety: { kind: 'base' }, helpfulness: { kind: 'base' } });
});
