import { expect, test } from 'vitest';
import { tinyBundle } from '#gpu-backend/model/fixtures/tiny-bundle.ts';
import { slowDecoder } from '#gpu-backend/model/testing/slow-decoder.ts';
import { TokenizerJson } from '#gpu-backend/model/tokenizer.ts';
import type { Message } from '#shared/protocol/generate.ts';
import { createRandom } from '../data/random.ts';
import { frozenExpert, loraShapes } from '../graphs/lora.ts';
import { buildBaseNextToken, buildExpertNextToken } from '../graphs/next-token-graph.ts';
import type { Parameters } from '../optim/adamw.ts';
import { type SessionOf, trainingSessions } from '../run/training-sessions.ts';
import { slowBundle } from '../testing/slow-bundle.ts';
import { TINY, tinyWeights } from '../testing/tiny-model.ts';
import { openTokenizer } from '../tokenizer/chat-files.ts';
import { emptyTensors, kernelShapes } from './base-model.ts';
import { sampleAnswers, samplePrompts } from './sample-answers.ts';
import { fillNormal } from './sft.ts';

const { tokenizer: json, tokenizerConfig, chatTemplate } = tinyBundle();
const tokenizer = openTokenizer({
  tokenizer: TokenizerJson.parse(json),
  tokenizerConfig: { ...tokenizerConfig },
  chatTemplate,
});
const config = { ...TINY, vocab_size: 272, max_position_embeddings: 48, eos_token_id: [5, 0] };
const weights = tinyWeights(config);
const [rank, loraScale] = [2, 2];
const lora = emptyTensors(loraShapes(config, rank));
for (const [name, { data }] of lora) fillNormal(data, 0.3, createRandom(`sample/${name}`));

const ask = (content: string): Message[] => [{ role: 'user', content }];
const prompts = [ask('How?'), ask('Why then?'), ask('And who told you to do it so?')];

/** The oracle: one token at a time from the slow decoder, which has no batches and no padding. */
function slowAnswer(prompt: readonly Message[], share: number): string {
  const experts = frozenExpert(lora, config);
  const slow = slowBundle(weights, {
    experts: { safety: experts, helpfulness: experts },
    rank,
    alpha: rank * loraScale,
  });
  const ids = [...tokenizer.renderChat(prompt)];
  const start = ids.length;
  while (ids.length < start + 32 && ids.length < config.max_position_embeddings) {
    const { logits } = slowDecoder({ ...slow, config }, ids, () => ({ safety: share, helpfulness: 0 }));
    const next = logits.indexOf(Math.max(...logits));
    if (next === 5 || next === 0) break;
    ids.push(next);
  }
  return tokenizer.tokenizer.decode(ids.slice(start));
}

const sessions = (build: () => Uint8Array): SessionOf =>
  trainingSessions(build, { base: null, contextLength: config.max_position_embeddings, threads: 1 }).train;

test.each<[string, number, Parameters, SessionOf]>([
  ['a base', 0, weights, sessions(() => buildBaseNextToken(config, { shapes: kernelShapes(config) }))],
  ['an expert', 1, lora, sessions(() => buildExpertNextToken(config, { base: weights, rank, loraScale }))],
])('%s answers with the likeliest tokens', async (_, share, parameters, session) => {
  const samples = await sampleAnswers(prompts, { config, tokenizer, session, parameters });
  expect(samples).toEqual(prompts.map((prompt) => ({ prompt: prompt[0]!.content, answer: slowAnswer(prompt, share) })));
  expect(samples.some(({ answer }) => answer.length > 0)).toBe(true);
});

test('the first short held-out prompts are chosen, each once, or those that the user gives', () => {
  const heldOut = [ask('a'.repeat(80)), ask('How?'), ask('How?'), ask('Why then?'), ask('Who?')];
  expect(samplePrompts({ count: 2 }, heldOut, tokenizer)).toEqual([ask('How?'), ask('Why then?')]);
  expect(samplePrompts({ count: 0 }, heldOut, tokenizer)).toEqual([]);
  expect(samplePrompts({ count: 3, prompts: [ask('Mine?')] }, heldOut, tokenizer)).toEqual([ask('Mine?')]);
});

test('a prompt that fills the context is an error', async () => {
  const session = sessions(() => buildBaseNextToken(config, { shapes: kernelShapes(config) }));
  const long = sampleAnswers([ask('a'.repeat(60))], { config, tokenizer, session, parameters: weights });
  await expect(long).rejects.toThrow('tokens, the context only 48: aaa');
});
