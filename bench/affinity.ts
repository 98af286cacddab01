/**
 * What it buys to send a conversation to the backend that has kept its beginning. Chats of several
 * turns, under a few system prompts, run against two real backends: once in the edge's own order
 * (workers/gateway/affinity.ts), once at random. Every prompt of a round is new. So a backend
 * knows only what it was sent in that round.
 *
 * Written down before measuring. With memory for everything: 0.85 to 0.95 of the prompts' tokens
 * are found by affinity and 0.6 to 0.8 at random, and a first token takes 0.6 to 0.9 of the time.
 * With memory for half of it all: 0.6 to 0.9 against 0.3 to 0.6, because at random both backends
 * keep the same system prompts.
 */

import { loadBundleHead } from '#gpu-backend/model/load-bundle.ts';
import { startBackend } from '#gpu-backend/server/start-backend.ts';
import {
  call,
  DRAW_SECRET,
  framesOf,
  generateRequest,
  receiptKeys,
  SECRET,
} from '#gpu-backend/server/testing/backend-client.ts';
import type { Message } from '#shared/protocol/generate.ts';
import { createRandom } from '#training/data/random.ts';
import { createLoad, orderByAffinity } from '#workers/gateway/affinity.ts';
import { alternate, median, medianRatio, printMeasured } from './harness/measure.ts';

const BACKENDS = 2;
const SYSTEM_PROMPTS = 4;
const CHATS = 12;
const TURNS = 4;
/** Chats under way at a time. */
const AT_ONCE = 2;
const SYSTEM_WORDS = 200;
const TURN_WORDS = 16;
const ANSWER_TOKENS = 8;
const WORDS = 'a an the my your our is was be has had not and or but if so of to in on at by for with from how what'
  .concat(' why when who this that day time way man week work part place case point home water room book word side')
  .split(' ');

type Route = (messages: readonly Message[]) => { url: string; end: () => void };
type Seen = { prompt: number; cached: number; firstMs: number };

export async function benchAffinity({ bundle: bundleDir, rounds }: { bundle: string; rounds: number }) {
  const summary: Record<string, number> = {};
  const needed = await measure({ bundleDir, rounds, name: 'memory for everything', prefixCache: 2 ** 30, summary });
  await measure({ bundleDir, rounds, name: 'memory for half of it', prefixCache: Math.floor(needed / 2), summary });
  return summary;
}

/**
 * Adds its figures to `summary`.
 *
 * @returns the bytes that each backend would need to keep all of a round once
 */
async function measure({
  bundleDir,
  rounds,
  name,
  prefixCache,
  summary,
}: {
  bundleDir: string;
  rounds: number;
  name: string;
  prefixCache: number;
  summary: Record<string, number>;
}): Promise<number> {
  const { receiptPrivateJwk } = await receiptKeys();
  const { id: model } = await loadBundleHead(bundleDir);
  const options = { bundle: bundleDir, port: 0, threads: 1, prefixCache, receiptPrivateJwk };
  const secrets = { directiveSecret: SECRET, drawSecret: DRAW_SECRET };
  const start = () => startBackend({ ...options, ...secrets }, { log: () => {} });
  const backends = await Promise.all(Array.from({ length: BACKENDS }, start));
  const load = createLoad();
  const random = createRandom('bench/affinity');
  const to = (url: string) => ({ url, end: load.begin(url) });
  const shares: Record<string, number[]> = { affinity: [], random: [] };
  let round = 0;
  const run = (kind: 'affinity' | 'random', route: Route) => ({
    name: `first token, by ${kind}`,
    run: async () => {
      const seen = await runChats(`${prefixCache}/${round++}`, { model, route });
      const sum = (of: (one: Seen) => number) => seen.reduce((total, one) => total + of(one), 0);
      shares[kind]!.push(sum(({ cached }) => cached) / sum(({ prompt }) => prompt));
      return median(seen.map(({ firstMs }) => firstMs));
    },
  });
  const measured = await alternate(
    [
      run('affinity', (messages) => to(orderByAffinity(backends, { messages, load })[0]!.url)),
      run('random', () => to(random.pick(backends).url)),
    ],
    { rounds },
  );
  console.log(
    `\n${CHATS} chats of ${TURNS} turns under ${SYSTEM_PROMPTS} system prompts, ${BACKENDS} backends, ${name}`,
  );
  printMeasured(measured, 'ms');
  for (const [kind, values] of Object.entries(shares)) {
    // The first one was to warm up.
    const raw = values.slice(1).map((share) => share.toFixed(3));
    console.log(
      `  share of prompt tokens found, by ${kind}  median ${median(values.slice(1)).toFixed(3)}   raw ${raw.join(' ')}`,
    );
    summary[`${name}: share of prompt tokens found by ${kind}`] = median(values.slice(1));
  }
  summary[`${name}: first token by affinity / at random`] = medianRatio(...measured);
  const bytes = await Promise.all(backends.map(({ url }) => keptBytes(url)));
  await Promise.all(backends.map((backend) => backend.close()));
  const everyRound = 2 * (rounds + 1);
  return bytes.reduce((a, b) => a + b) / everyRound / BACKENDS;
}

/** All chats of a round, some at a time. */
async function runChats(seed: string, to: { model: string; route: Route }): Promise<Seen[]> {
  const random = createRandom(`bench/affinity/${seed}`);
  const words = (count: number) => Array.from({ length: count }, () => random.pick(WORDS)).join(' ');
  const systems = Array.from({ length: SYSTEM_PROMPTS }, () => words(SYSTEM_WORDS));
  const chats = Array.from({ length: CHATS }, (_, i) => ({
    system: systems[i % SYSTEM_PROMPTS]!,
    turns: Array.from({ length: TURNS }, () => words(TURN_WORDS)),
  }));
  const waiting = random.shuffle(chats);
  const seen: Seen[] = [];
  const worker = async () => {
    for (let chat = waiting.shift(); chat !== undefined; chat = waiting.shift()) {
      const messages: Message[] = [{ role: 'system', content: chat.system }];
      for (const content of chat.turns) {
        messages.push({ role: 'user', content });
        const { text, ...rest } = await ask(messages, to);
        seen.push(rest);
        messages.push({ role: 'assistant', content: text });
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return seen;
}

async function ask(messages: readonly Message[], { model, route }: { model: string; route: Route }) {
  const { url, end } = route(messages);
  const began = performance.now();
  let firstMs: number | undefined;
  let text = '';
  try {
    const body = generateRequest({ model, messages: [...messages], max_tokens: ANSWER_TOKENS, temperature: 0 });
    for await (const frame of framesOf(await call(url, body))) {
      if (frame.type === 'token') firstMs ??= performance.now() - began;
      if (frame.type === 'token' || frame.type === 'text') text += frame.text;
      if (frame.type === 'error') throw new Error(`the backend answered with ${frame.code}: ${frame.message}`);
      if (frame.type !== 'end') continue;
      const { prompt_tokens: prompt, prompt_tokens_details: details } = frame.usage;
      return { text, prompt, cached: details?.cached_tokens ?? 0, firstMs: firstMs ?? Number.NaN };
    }
    throw new Error('the answer has no end');
  } finally {
    end();
  }
}

/** What a backend says that its kept prefixes take. */
async function keptBytes(url: string): Promise<number> {
  const metrics = await (await fetch(`${url}/metrics`)).text();
  return Number(/^plimsoll:prefix_cache_bytes\{.*\} (\S+)$/m.exec(metrics)?.[1]);
}
