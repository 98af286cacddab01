import { afterAll, describe, expect, test } from 'vitest';
import { ScriptedExperts } from '../engine/scripted-experts.ts';
import { testExperts } from '../engine/testing/experts-contract.ts';
import { babble, SCRIPTED_VOCAB } from '../engine/testing/scripted-engine.ts';
import { type EngineOptions, RemoteEngine } from './ask-engine.ts';
import { LLAMA_CPP } from './llama-cpp.ts';
import { RemoteExperts } from './remote-experts.ts';
import { SGLANG } from './sglang.ts';
import { PROTOCOLS, type Protocol, serveEngine } from './testing/engine-servers.ts';
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

async function remote(engines: Record<'safety' | 'helpfulness', Pick<EngineOptions, 'dialect' | 'urls' | 'model'>>) {
  return new RemoteExperts(
    {
      safety: new RemoteEngine({ ...common, ...engines.safety }),
      helpfulness: new RemoteEngine({ ...common, ...engines.helpfulness }),
    },
    { vocabSize: SCRIPTED_VOCAB, topK: TOP_K },
  );
}

const abilities = { hidden: false, layers: false, fork: true, score: false, sums: false, prefixes: false, topK: TOP_K };

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

test('more log-probabilities than vLLM allows is an error that says so', async () => {
  const engine = new RemoteEngine({
    ...common,
    topK: 21,
    dialect: VLLM,
    urls: [await serve(PROTOCOLS.vllm())],
    model: 'safety',
  });
  const asked = engine.next([1], { affinity: '', signal: new AbortController().signal });
  await expect(asked).rejects.toThrow(/status 400: .*greater than max allowed: 20/);
});
