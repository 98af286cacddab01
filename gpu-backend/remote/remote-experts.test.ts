import { createHmac } from 'node:crypto';
import { afterAll, describe, expect, test } from 'vitest';
import { ScriptedExperts } from '../engine/scripted-experts.ts';
import { testExperts } from '../engine/testing/experts-contract.ts';
import { feed, someIds } from '../engine/testing/feed-experts.ts';
import { babble, SCRIPTED_VOCAB } from '../engine/testing/scripted-engine.ts';
import { type EngineOptions, RemoteEngine } from './ask-engine.ts';
import { LLAMA_CPP } from './llama-cpp.ts';
import { openaiLogprobs } from './openai-logprobs.ts';
import { RemoteExperts } from './remote-experts.ts';
import { SGLANG } from './sglang.ts';
import { PROTOCOLS, type Protocol, serveEngine } from './testing/engine-servers.ts';
import { OPENAI_PROTOCOL } from './testing/openai-protocol.ts';
import { VLLM } from './vllm.ts';

const TOP_K = 5;
const behind = new ScriptedExperts(babble, { vocabSize: SCRIPTED_VOCAB });
const open: (() => Promise<void>)[] = [];
afterAll(() => Promise.all(open.map((close) => close())));

async function serve(protocol: Protocol): Promise<string> {
  const { url, close } = await serveEngine(behind, protocol);
  open.push(close);
  return url;
}

const common = { topK: TOP_K, vocabSize: SCRIPTED_VOCAB, timeoutMs: 60_000, apiKey: null };

async function remote(
  engines: Record<'safety' | 'helpfulness', Pick<EngineOptions, 'dialect' | 'urls' | 'model'>>,
  { positions = 7 } = {},
) {
  return new RemoteExperts(
    {
      safety: new RemoteEngine({ ...common, ...engines.safety }),
      helpfulness: new RemoteEngine({ ...common, ...engines.helpfulness }),
    },
    { vocabSize: SCRIPTED_VOCAB, topK: TOP_K, positions },
  );
}

const abilities = {
  hidden: false,
  layers: false,
  fork: true,
  score: true,
  draft: 6,
  sums: false,
  prefixes: false,
  topK: TOP_K,
};

describe.each([
  ['vllm', VLLM],
  ['sglang', SGLANG],
] as const)('%s', (name, dialect) => {
  testExperts(`remote, ${name}`, {
    create: async () => {
      const urls = [await serve(PROTOCOLS[name]())];
      return remote({
        safety: { dialect, urls, model: 'safety' },
        helpfulness: { dialect, urls, model: 'helpfulness' },
      });
    },
    abilities,
    tolerance: 0,
  });
});

testExperts('remote, llama.cpp, one server an expert', {
  create: async () =>
    remote({
      safety: { dialect: LLAMA_CPP, urls: [await serve(PROTOCOLS.llamacpp('safety'))], model: null },
      helpfulness: { dialect: LLAMA_CPP, urls: [await serve(PROTOCOLS.llamacpp('helpfulness'))], model: null },
    }),
  abilities,
  tolerance: 0,
});

const textOf = (id: number) => String.fromCodePoint(0x100 + id);
const idOfText = (text: string) => (text === '' ? undefined : text.codePointAt(0)! - 0x100);

describe.each(['ids', 'list', 'texts'] as const)('openai-logprobs, with tokens named as %s', (naming) => {
  testExperts(`remote, openai-logprobs, ${naming}`, {
    create: async () => {
      const urls = [await serve(OPENAI_PROTOCOL(naming, textOf))];
      const dialect = openaiLogprobs(idOfText);
      return remote(
        { safety: { dialect, urls, model: 'safety' }, helpfulness: { dialect, urls, model: 'helpfulness' } },
        { positions: 1 },
      );
    },
    abilities: { ...abilities, draft: 0 },
    tolerance: 0,
  });
});

test('a token whose text is no token of the bundle makes the row none', async () => {
  const urls = [await serve(OPENAI_PROTOCOL('texts', (id) => (id % 2 ? textOf(id) : 'the same')))];
  const engine = new RemoteEngine({ ...common, dialect: openaiLogprobs(() => undefined), urls, model: 'safety' });
  const asked = engine.rows([1], { affinity: '', cacheSalt: null, signal: new AbortController().signal });
  await expect(asked).rejects.toThrow(/which is not one token of the bundle and no other/);
});

test('more log-probabilities than vLLM allows is an error that says so', async () => {
  const engine = new RemoteEngine({
    ...common,
    topK: 21,
    dialect: VLLM,
    urls: [await serve(PROTOCOLS.vllm())],
    model: 'safety',
  });
  const asked = engine.rows([1], { affinity: '', cacheSalt: null, signal: new AbortController().signal });
  await expect(asked).rejects.toThrow(/status 400: .*greater than max allowed: 20/);
});

// vLLM fills in what a request leaves out from the model's own generation_config.json, SGLang from
// --preferred-sampling-params. Temperature 0 makes the rest of them idle.
const NEUTRAL = { temperature: 0, repetition_penalty: 1, presence_penalty: 0, frequency_penalty: 0 };
const penalties = (fields: object) =>
  Object.fromEntries(Object.entries(fields).filter(([name]) => name in NEUTRAL)) as unknown;
test.each([
  ['vllm', VLLM, (body: object) => penalties(body)],
  ['sglang', SGLANG, (body: object) => penalties('sampling_params' in body ? Object(body.sampling_params) : {})],
] as const)('%s is told that no penalty acts, on rows and on drafts', async (name, dialect, sampling) => {
  const server = await serveEngine(behind, PROTOCOLS[name]());
  open.push(server.close);
  const engine = new RemoteEngine({ ...common, dialect, urls: [server.url], model: 'safety' });
  const asking = { affinity: '', cacheSalt: null, signal: new AbortController().signal };
  await engine.rows([1, 2, 3], asking);
  await engine.rows([1, 2, 3], { ...asking, positions: 2 });
  await engine.goOn([1, 2, 3], { ...asking, count: 2 });
  // What our dialects send are objects.
  expect(server.asked.map((body) => sampling(body as object))).toEqual([NEUTRAL, NEUTRAL, NEUTRAL]);
});

test.each([
  ['vllm', VLLM, 'cache_salt'],
  ['sglang', SGLANG, 'extra_key'],
] as const)(
  '%s shares keys and values within a tenant only, and is not told who that is',
  async (name, dialect, field) => {
    const server = await serveEngine(behind, PROTOCOLS[name]());
    open.push(server.close);
    const engineOf = (model: string) => new RemoteEngine({ ...common, dialect, urls: [server.url], model });
    const experts = new RemoteExperts(
      { safety: engineOf('safety'), helpfulness: engineOf('helpfulness') },
      {
        ...{ vocabSize: SCRIPTED_VOCAB, topK: TOP_K, positions: 3 },
        cacheSaltOf: (tenant) => createHmac('sha256', 'secret').update(tenant).digest('base64url'),
      },
    );
    const saltOf = async (tenant: string) => {
      const before = server.asked.length;
      for (const source of ['safety', 'helpfulness'] as const) {
        const first = experts.open(source, { tenant });
        await feed(experts, first, someIds(4));
        const second = experts.fork(first);
        const draft = await experts.draft(second, { ids: [30], count: 2 });
        await feed(experts, second, { ids: [30, ...draft, 31], want: { positions: 2 } });
        for (const sequence of [first, second]) experts.close(sequence);
      }
      // What our dialects send are objects.
      const asked = server.asked.slice(before) as Record<string, unknown>[];
      expect(asked).toHaveLength(6);
      const [salt, ...others] = new Set(asked.map((body) => body[field]));
      expect(others).toEqual([]);
      return String(salt);
    };
    const [one, again, other] = [await saltOf('acme'), await saltOf('acme'), await saltOf('zenith')];
    expect(one).toBe(again);
    expect(one).not.toBe(other);
    // vLLM wants 256 bits that nobody can guess.
    expect(one).toMatch(/^[\w-]{43}$/);
    await experts.dispose();
  },
);

test('a sequence stays with its server, however short its prompt is', async () => {
  const servers = await Promise.all([1, 2, 3].map(() => serveEngine(behind, PROTOCOLS.vllm())));
  for (const { close } of servers) open.push(close);
  const engineOf = (model: string) =>
    new RemoteEngine({ ...common, dialect: VLLM, urls: servers.map(({ url }) => url), model });
  const engines = { safety: engineOf('safety'), helpfulness: engineOf('helpfulness') };
  const experts = new RemoteExperts(engines, { vocabSize: SCRIPTED_VOCAB, topK: TOP_K, positions: 3 });
  const sequence = experts.open('safety');
  for (const id of someIds(8)) await feed(experts, sequence, [id]);
  const fork = experts.fork(sequence);
  const draft = await experts.draft(fork, { ids: [30], count: 2 });
  await feed(experts, fork, { ids: [30, ...draft, 31], want: { positions: 2 } });
  expect(servers.map(({ asked }) => asked.length).toSorted()).toEqual([0, 0, 10]);
  await experts.dispose();
});

test('forks of a prompt that asked nothing yet stay together', async () => {
  const servers = await Promise.all([1, 2, 3].map(() => serveEngine(behind, PROTOCOLS.vllm())));
  for (const { close } of servers) open.push(close);
  const experts = pool(servers.map(({ url }) => url));
  const sequence = experts.open('safety');
  await feed(experts, sequence, { ids: someIds(8), want: { positions: 0 } });
  const forks = Array.from({ length: 8 }, () => experts.fork(sequence));
  for (const [i, fork] of forks.entries()) await feed(experts, fork, [i]);
  expect(servers.map(({ asked }) => asked.length).toSorted()).toEqual([0, 0, 8]);
  await experts.dispose();
});

test('sequences that begin alike share two servers, and each stays where it began', async () => {
  const servers = await Promise.all([1, 2, 3].map(() => serveEngine(behind, PROTOCOLS.vllm())));
  for (const { close } of servers) open.push(close);
  const experts = pool(servers.map(({ url }) => url));
  const counts = () => servers.map(({ asked }) => asked.length);
  const sequences = Array.from({ length: 8 }, () => experts.open('safety'));
  for (const sequence of sequences) await feed(experts, sequence, someIds(300));
  expect(counts().toSorted()).toEqual([0, 4, 4]);
  // Those of one of the two servers end, and the next ones that come take their place.
  const [first] = sequences;
  const before = counts();
  await feed(experts, first!, [1]);
  const home = counts().findIndex((count, i) => count > before[i]!);
  for (const one of sequences.filter((_, i) => i % 2 === 0)) experts.close(one);
  for (let i = 0; i < 4; i++) await feed(experts, experts.open('safety'), someIds(300));
  expect(counts()[home]).toBe(before[home]! + 1 + 4);
  await experts.dispose();
});

test('tenants with one system prompt do not all go to the same servers', async () => {
  const servers = await Promise.all([1, 2, 3, 4].map(() => serveEngine(behind, PROTOCOLS.vllm())));
  for (const { close } of servers) open.push(close);
  const experts = pool(servers.map(({ url }) => url));
  for (let i = 0; i < 60; i++) {
    const sequence = experts.open('safety', { tenant: `${i}` });
    await feed(experts, sequence, someIds(300));
    experts.close(sequence);
  }
  expect(Math.min(...servers.map(({ asked }) => asked.length))).toBeGreaterThan(3);
  await experts.dispose();
});

/** Experts on vLLM servers that each hold both. */
function pool(urls: readonly string[]): RemoteExperts {
  const engineOf = (model: string) => new RemoteEngine({ ...common, dialect: VLLM, urls, model });
  return new RemoteExperts(
    { safety: engineOf('safety'), helpfulness: engineOf('helpfulness') },
    { vocabSize: SCRIPTED_VOCAB, topK: TOP_K, positions: 3, cacheSaltOf: (tenant) => `salt of ${tenant}` },
  );
}
