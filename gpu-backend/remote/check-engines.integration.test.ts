import { afterAll, beforeAll, expect, test } from 'vitest';
import { OnnxExperts } from '../engine/onnx-experts.ts';
import { openBundle, type ServedBundle } from '../model/load-bundle.ts';
import { type EngineOptions, RemoteEngine } from './ask-engine.ts';
import { checkEngines } from './check-engines.ts';
import { LLAMA_CPP } from './llama-cpp.ts';
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
