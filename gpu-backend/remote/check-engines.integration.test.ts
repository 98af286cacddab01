import { afterAll, beforeAll, expect, test } from 'vitest';
import * as z from 'zod';
import { OnnxExperts } from '../engine/onnx-experts.ts';
import { openBundle, type ServedBundle } from '../model/load-bundle.ts';
import type { ExpertRole } from '../model/manifest.ts';
import { type EngineOptions, RemoteEngine } from './ask-engine.ts';
import { checkEngines, checkTruncation } from './check-engines.ts';
import { LLAMA_CPP } from './llama-cpp.ts';
import { openaiLogprobs } from './openai-logprobs.ts';
import { SGLANG } from './sglang.ts';
import { encodeAsEngines } from './testing/encode-as-engines.ts';
import { type Encode, PROTOCOLS, type Protocol, serveEngine, type Told } from './testing/engine-servers.ts';
import { OPENAI_PROTOCOL } from './testing/openai-protocol.ts';
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

async function serve(protocol: Protocol, encode = encodeAsEngines(head.tokenizer)) {
  const { url, close } = await serveEngine(experts, protocol, { encode });
  ends.push(close);
  return url;
}

type Place = Pick<EngineOptions, 'dialect' | 'urls' | 'model'> & { topK?: number };
const check = (safety: Place, helpfulness: Place, of: Parameters<typeof checkEngines>[1]['head'] = head) => {
  const common = { topK: 20, vocabSize: head.config.vocab_size, timeoutMs: 60_000, apiKey: null };
  const engines = {
    safety: new RemoteEngine({ ...common, ...safety }),
    helpfulness: new RemoteEngine({ ...common, ...helpfulness }),
  };
  return checkEngines(engines, { head: of, signal: new AbortController().signal });
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

test.each(['vllm', 'sglang', 'llamacpp'] as const)('finds other control tokens on %s', async (engine) => {
  const encode = encodeAsEngines(head.tokenizer, (content, id) => (content === '<|assistant|>' ? id + 1 : id));
  const dialect = { vllm: VLLM, sglang: SGLANG, llamacpp: LLAMA_CPP }[engine];
  const place = async (role: ExpertRole, own?: Encode) => {
    const urls = [await serve(PROTOCOLS[engine](role), own)];
    return { dialect, urls, model: engine === 'llamacpp' ? null : role };
  };
  const found = await check(await place('safety', encode), await place('helpfulness'));
  expect(found[0]!.problem).toMatch(/it has another tokenizer: "<\|assistant\|>" is 5 there, and 4 in the bundle/);
  expect(found[1]!.problem).toBeUndefined();
});

test('finds a vocabulary that is smaller than the bundle’s', async () => {
  const honest = PROTOCOLS.vllm();
  const last = head.config.vocab_size - 1;
  const smaller: Protocol = {
    ...honest,
    answer: (body, next) => {
      const { prompt } = z.looseObject({ prompt: z.array(z.int()) }).parse(body);
      const message = `Token id ${last} is out of vocabulary`;
      if (prompt.includes(last)) return Promise.resolve({ status: 400, body: { error: { message } } });
      return honest.answer(body, next);
    },
  };
  const found = await check(
    { dialect: VLLM, urls: [await serve(smaller)], model: 'safety' },
    { dialect: VLLM, urls: [await serve(honest)], model: 'helpfulness' },
  );
  expect(found[0]!.problem).toMatch(/^it does not take token 4095, the bundle's last: status 400: .*out of vocabulary/);
  expect(found[1]!.problem).toBeUndefined();
});

const Salted = z.object({ cache_salt: z.string().nullish() });
const saltOf = (body: unknown) => Salted.parse(body).cache_salt ?? '';

/**
 * vLLM with a prefix cache of whole blocks of 16 tokens. `keyOf` says whose they are: keys and
 * values that another expert has left there make an answer the mean of both, or `fault` moves it.
 */
function caching(
  keyOf: (role: ExpertRole, salt: string, prefix: string) => string,
  fault?: (row: readonly Told[]) => Told[],
): Protocol {
  const honest = PROTOCOLS.vllm();
  const owners = new Map<string, ExpertRole>();
  return {
    ...honest,
    answer: (body, next) =>
      honest.answer(body, async (role, ids) => {
        const salt = saltOf(body);
        let isMixed = false;
        for (let end = 16; end < ids.length; end += 16) {
          const key = keyOf(role, salt, ids.slice(0, end).join());
          if (!owners.has(key)) owners.set(key, role);
          if (owners.get(key) !== role) isMixed = true;
        }
        if (!isMixed) return next(role, ids);
        if (fault !== undefined) return fault(await next(role, ids));
        const other = new Map(await next(role === 'safety' ? 'helpfulness' : 'safety', ids));
        const mean = (await next(role, ids)).map(([id, lp]): Told => [id, (lp + other.get(id)!) / 2]);
        return normal(mean);
      }),
  };
}

/** Of these, the log-probabilities that sum to 1; likeliest first. */
function normal(row: readonly Told[]): Told[] {
  const norm = Math.log(row.reduce((sum, [, lp]) => sum + Math.exp(lp), 0));
  return row.map(([id, lp]): Told => [id, lp - norm]).sort(([, a], [, b]) => b - a);
}

/** All but the ten likeliest become so many nats less likely beside those. Their order stays. */
const moved = (row: readonly Told[], nats: number): Told[] =>
  normal(row.map(([id, lp], rank): Told => [id, rank < 10 ? lp : lp - nats]));

const onVllm = (url: string) =>
  check({ dialect: VLLM, urls: [url], model: 'safety' }, { dialect: VLLM, urls: [url], model: 'helpfulness' });

test('finds a prefix cache whose keys are tokens only, whoever asked first', async () => {
  const found = await onVllm(await serve(caching((_, salt, prefix) => `${salt} ${prefix}`)));
  expect(found.map(({ role, problem }) => [role, problem])).toEqual([
    ['safety', expect.stringMatching(/off by .* nats where the helpfulness expert has asked the same/)],
    ['helpfulness', expect.stringMatching(/off by .* nats where the safety expert has asked the same/)],
  ]);
});

test('finds a fault of 0.3 nats in an engine that is exact otherwise', async () => {
  const protocol = caching(
    (_, salt, prefix) => `${salt} ${prefix}`,
    (row) => moved(row, 0.3),
  );
  for (const { problem } of await onVllm(await serve(protocol))) expect(problem).toMatch(/off by 0\.[123]\d+ nats/);
});

test('finds nothing in a prefix cache whose keys have the adapter', async () => {
  const found = await onVllm(await serve(caching((...key) => key.join(' '))));
  expect(found.map(({ problem, unknown }) => [problem, unknown])).toEqual(Array(2).fill([undefined, undefined]));
});

/** The nearest number of 8 significant bits. */
function bf16(x: number): number {
  const step = 2 ** (Math.floor(Math.log2(Math.abs(x))) - 7);
  return Math.round(x / step) * step;
}

/**
 * vLLM whose logits, of up to 24, have bf16's precision: 0.125 there. What follows a prompt that is
 * in the cache was summed up in another order, so it is rounded at other places.
 */
function inBf16(): Protocol {
  const honest = PROTOCOLS.vllm();
  const seen = new Set<string>();
  return {
    ...honest,
    answer: (body, next) =>
      honest.answer(body, async (role, ids) => {
        const key = [role, saltOf(body), ids.join()].join(' ');
        const order = seen.has(key) ? 0.03 : 0;
        seen.add(key);
        const logits = (await next(role, ids)).map(([id, lp]): Told => [id, bf16(24 + lp + order * Math.sin(id))]);
        return normal(logits);
      }),
  };
}

test('finds a sound engine fit whose logits have the precision of bf16', async () => {
  const found = await onVllm(await serve(inBf16()));
  expect(found.map(({ problem, unknown }) => [problem, unknown])).toEqual(Array(2).fill([undefined, undefined]));
});

/** vLLM whose rows are moved as `nats` says, of the question and how often it was asked before. */
function unsteady(nats: (asked: { salt: string; before: number }) => number): Protocol {
  const honest = PROTOCOLS.vllm();
  const times = new Map<string, number>();
  return {
    ...honest,
    answer: (body, next) =>
      honest.answer(body, async (role, ids) => {
        const salt = saltOf(body);
        const key = [role, salt, ids.join()].join(' ');
        const before = times.get(key) ?? 0;
        times.set(key, before + 1);
        return moved(await next(role, ids), nats({ salt, before }));
      }),
  };
}

test('finds an engine fit whose own answers are about as far apart as those that are compared', async () => {
  // What a cache gives back differs by more than 0.5 nats, whoever asked before.
  const found = await onVllm(await serve(unsteady(({ before }) => (before > 0 ? 0.8 : 0))));
  expect(found.map(({ problem }) => problem)).toEqual([undefined, undefined]);
});

/** 0 and 1 in turn, for each salt that is new. */
function inTurn() {
  const salts = new Map<string, number>();
  return (salt: string) => {
    if (!salts.has(salt)) salts.set(salt, salts.size);
    return salts.get(salt)! % 2;
  };
}

test('finds an engine unfit whose answers are far apart with nothing cached', async () => {
  const turn = inTurn();
  const found = await onVllm(await serve(unsteady(({ salt }) => 2 * turn(salt))));
  for (const { problem } of found)
    expect(problem).toMatch(/in ways that are [12]\.\d+ nats apart, with nothing cached/);
});

test('finds what is off by more than a nat, however noisy the engine is', async () => {
  const turn = inTurn();
  const found = await onVllm(await serve(unsteady(({ salt, before }) => (before > 0 ? 2 : 0.6 * turn(salt)))));
  for (const { problem } of found) expect(problem).toMatch(/off by [12]\.\d+ nats/);
});

test('finds an adapter that is not in use, also where an expert has a prompt of its own', async () => {
  const url = await serve(PROTOCOLS.vllm());
  const prompts = { safety: 'You are careful.' };
  const on = { dialect: VLLM, urls: [url], model: 'safety' };
  const found = await check(on, on, { ...head, prompts });
  expect(found[0]!.problem).toMatch(/answers as the helpfulness expert does/);
  const experts = head.manifest.experts.map((expert) => ({ ...expert, adapter: false }));
  const bare = { ...PROTOCOLS.vllm(), told: { '/v1/models': { data: [{ id: 'safety', parent: null }] } } };
  const onBase = { ...on, urls: [await serve(bare)] };
  const onlyPrompts = await check(onBase, onBase, { ...head, prompts, manifest: { ...head.manifest, experts } });
  expect(onlyPrompts.map(({ problem }) => problem)).toEqual([undefined, undefined]);
});

test('says that it cannot tell where an engine reads its cache whatever is asked', async () => {
  const url = await serve(OPENAI_PROTOCOL('ids', String));
  const dialect = openaiLogprobs(() => undefined);
  const found = await check(
    { dialect, urls: [url], model: 'safety', topK: 5 },
    { dialect, urls: [`${url}/`], model: 'helpfulness', topK: 5 },
  );
  for (const { problem, unknown } of found) {
    expect(problem).toBeUndefined();
    expect(unknown).toMatch(/whether it reads one adapter’s keys and values under the other one/);
  }
});

test('finds a server of llama.cpp whose cache has become another adapter’s', async () => {
  const times = new Map<string, number>();
  const forgetful: Protocol = {
    ...PROTOCOLS.llamacpp('safety'),
    answer: (body, next) => {
      const { prompt, cache_prompt } = z.object({ prompt: z.unknown(), cache_prompt: z.boolean() }).parse(body);
      const key = JSON.stringify(prompt);
      const before = times.get(key) ?? 0;
      times.set(key, before + 1);
      const reads = cache_prompt && before > 0;
      return PROTOCOLS.llamacpp(reads ? 'helpfulness' : 'safety').answer(body, next);
    },
  };
  const found = await check(
    { dialect: LLAMA_CPP, urls: [await serve(forgetful)], model: null },
    { dialect: LLAMA_CPP, urls: [await serve(PROTOCOLS.llamacpp('helpfulness'))], model: null },
  );
  expect(found[0]!.problem).toMatch(/off by .* nats where the helpfulness expert has asked the same/);
  expect(found[1]!.problem).toBeUndefined();
});

const LORA = { id: 0, path: 'safety.gguf', task_name: '', prompt_prefix: '' };
test.each([
  ['with no --lora', [], /applies no adapter, and the bundle says that the safety expert is one/],
  ['with --lora-init-without-apply', [{ ...LORA, scale: 0 }], /applies no adapter/],
  [
    'with both',
    [
      { ...LORA, scale: 1 },
      { ...LORA, id: 1, scale: 1 },
    ],
    /applies 2 adapters at once/,
  ],
])('finds one server of llama.cpp that was started %s, though the experts differ', async (_, adapters, problem) => {
  const wrong = { ...PROTOCOLS.llamacpp('safety'), told: { '/lora-adapters': adapters } };
  const found = await check(
    { dialect: LLAMA_CPP, urls: [await serve(wrong)], model: null },
    { dialect: LLAMA_CPP, urls: [await serve(PROTOCOLS.llamacpp('helpfulness'))], model: null },
  );
  expect(found[0]!.problem).toMatch(problem);
  expect(found[1]!.problem).toBeUndefined();
});

test('finds an adapter where the bundle says the base', async () => {
  const url = await serve(PROTOCOLS.vllm());
  const experts = head.manifest.experts.map((one) => ({ ...one, adapter: one.role === 'safety' }));
  const found = await check(
    { dialect: VLLM, urls: [url], model: 'safety' },
    { dialect: VLLM, urls: [url], model: 'helpfulness' },
    { ...head, manifest: { ...head.manifest, experts } },
  );
  expect(found[0]!.problem).toBeUndefined();
  expect(found[1]!.problem).toMatch(/applies an adapter, and the bundle says that the helpfulness expert is the base/);
});

test('finds the base’s name in place of the adapter’s', async () => {
  // Both engines answer as something that is not the other expert.
  const honest = PROTOCOLS.vllm();
  const withBase: Protocol = {
    ...honest,
    answer: (body, next) => {
      const { model, ...rest } = z.looseObject({ model: z.string() }).parse(body);
      return honest.answer({ ...rest, model: model === 'base' ? 'safety' : model }, next);
    },
  };
  const url = await serve(withBase);
  const onVllm = await check(
    { dialect: VLLM, urls: [url], model: 'base' },
    { dialect: VLLM, urls: [url], model: 'helpfulness' },
  );
  expect(onVllm.map(({ problem }) => problem)).toEqual([
    expect.stringMatching(/applies no adapter, and the bundle says that the safety expert is one/),
    undefined,
  ]);
});

/** An SGLang that was started without --enable-lora reads no `lora_path`. */
function withoutLora(role: ExpertRole, cards: unknown): Protocol {
  const honest = PROTOCOLS.sglang();
  const answer: Protocol['answer'] = (body, next) =>
    honest.answer({ ...z.looseObject({}).parse(body), lora_path: role }, next);
  return { ...honest, answer, told: { '/v1/models': cards } };
}

test('finds an adapter that SGLang was not given, or is not asked for', async () => {
  const base = { id: '/model', object: 'model', root: '/model' };
  const bare = await serve(withoutLora('safety', { object: 'list', data: [{ ...base, parent: null }] }));
  const helpfulness = { dialect: SGLANG, urls: [await serve(PROTOCOLS.sglang())], model: 'helpfulness' };
  for (const model of ['safety', null]) {
    const [found] = await check({ dialect: SGLANG, urls: [bare], model }, helpfulness);
    expect(found!.problem, `${model}`).toMatch(/applies no adapter/);
  }
  // Before sgl-project/sglang#12229 it did not list adapters.
  const old = await serve(withoutLora('safety', { object: 'list', data: [base] }));
  const [found] = await check({ dialect: SGLANG, urls: [old], model: 'safety' }, helpfulness);
  expect(found!.problem).toBeUndefined();
  expect(found!.unknown).toMatch(/whether it applies an adapter/);
});
