import { afterAll, beforeAll, expect, test } from 'vitest';
import { OnnxExperts } from '../engine/onnx-experts.ts';
import { openBundle, type ServedBundle } from '../model/load-bundle.ts';
import { type EngineOptions, RemoteEngine } from './ask-engine.ts';
import { checkEngines, checkTruncation } from './check-engines.ts';
import { LLAMA_CPP } from './llama-cpp.ts';
import { SGLANG } from './sglang.ts';
import { PROTOCOLS, type Protocol, serveEngine } from './testing/engine-servers.ts';
import { VLLM } from './vllm.ts';

let head: ServedBundle;
let experts: OnnxExperts;
const ends: (() => Promise<void>)[] = [];
beforeAll(async () => {
  head = await openBundle('models/demo');
  experts = await OnnxExperts.create(head, { threads: 1 });
});
afterAll(async () => {
  await Promise.all(ends.map((end) => end()));
  await experts.dispose();
});

async function serve(protocol: Protocol, encode = (text: string) => head.tokenizer.encode(text)) {
  const { url, close } = await serveEngine(experts, protocol, { encode });
  ends.push(close);
  return url;
}

type Place = Pick<EngineOptions, 'dialect' | 'urls' | 'model'>;
const check = (safety: Place, helpfulness: Place) => {
  const common = { topK: 20, vocabSize: head.config.vocab_size, timeoutMs: 60_000, apiKey: null };
  const engines = {
    safety: new RemoteEngine({ ...common, ...safety }),
    helpfulness: new RemoteEngine({ ...common, ...helpfulness }),
  };
  return checkEngines(engines, { head, signal: new AbortController().signal });
};

test('says of every server what it said, if all is well', async () => {
  const url = await serve(PROTOCOLS.vllm());
  const found = await check(
    { dialect: VLLM, urls: [url], model: 'safety' },
    { dialect: VLLM, urls: [url], model: 'helpfulness' },
  );
  expect(found.map(({ role, problem }) => [role, problem])).toEqual([
    ['safety', undefined],
    ['helpfulness', undefined],
  ]);
  expect(found[0]!.told).toMatchObject({ likeliest: expect.any(String), promptTokens: expect.any(Number) });
});

test('says what truncation costs: less with more tokens, and nothing with all', async () => {
  const url = await serve(PROTOCOLS.sglang());
  const costOf = (topK: number) => {
    const common = { topK, vocabSize: head.config.vocab_size, timeoutMs: 60_000, apiKey: null };
    const on = (model: string) => new RemoteEngine({ ...common, dialect: SGLANG, urls: [url], model });
    const engines = { safety: on('safety'), helpfulness: on('helpfulness') };
    return checkTruncation(engines, { head, weight: 0.5, signal: new AbortController().signal });
  };
  const [few, many, all] = [await costOf(2), await costOf(40), await costOf(head.config.vocab_size)];
  expect(few.positions).toBe(18);
  for (const rule of ['geometric', 'arithmetic'] as const) {
    expect(few.moves[rule].mean).toBeGreaterThan(many.moves[rule].mean);
    expect(many.moves[rule].mean).toBeGreaterThan(all.moves[rule].mean);
    expect(all.moves[rule].most).toBeLessThan(1e-3);
    expect(few.moves[rule].most).toBeLessThanOrEqual(1);
  }
  for (const role of ['safety', 'helpfulness'] as const)
    expect(few.left[role].most).toBeGreaterThan(many.left[role].most);
});

test('finds another tokenizer, an adapter that is missing, and a server that is gone', async () => {
  const [good, other] = [
    await serve(PROTOCOLS.vllm()),
    await serve(PROTOCOLS.vllm(), (text) => [...Buffer.from(text)]),
  ];
  const both = await check(
    { dialect: VLLM, urls: [good, other, 'http://127.0.0.1:1'], model: 'safety' },
    { dialect: VLLM, urls: [good], model: 'no-such-adapter' },
  );
  expect(both.map(({ problem }) => problem)).toEqual([
    expect.stringMatching(/status 404: .*no-such-adapter/),
    expect.stringMatching(/another tokenizer: token 0 of a text is 73 there/),
    expect.stringMatching(/fetch failed/),
    expect.stringMatching(/status 404: .*no-such-adapter/),
  ]);
  const same = await check(
    { dialect: VLLM, urls: [good], model: 'safety' },
    { dialect: VLLM, urls: [good], model: 'safety' },
  );
  expect(same[0]!.problem).toMatch(/answers as the helpfulness expert does/);
});

test('finds a server that reads one adapter’s keys and values under another one', async () => {
  // As llama.cpp#26207 has it: whoever asked first about a prompt has filled the cache.
  const askers = new Map<string, number>();
  const forgetful: Protocol = {
    ...PROTOCOLS.llamacpp('safety'),
    answer: (body, next) => {
      const key = JSON.stringify(body);
      const times = askers.get(key) ?? 0;
      askers.set(key, times + 1);
      return PROTOCOLS.llamacpp(times > 1 ? 'helpfulness' : 'safety').answer(body, next);
    },
  };
  const found = await check(
    { dialect: LLAMA_CPP, urls: [await serve(forgetful)], model: null },
    { dialect: LLAMA_CPP, urls: [await serve(PROTOCOLS.llamacpp('helpfulness'))], model: null },
  );
  expect(found[0]!.problem).toMatch(/another answer \(by .* nats\) after the helpfulness expert was asked/);
  expect(found[1]!.problem).toBeUndefined();
});
