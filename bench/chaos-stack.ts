/**
 * The whole local stack under fire: two hundred streams go through the edge while we kill and pause
 * backends and kill the edge once. The stack will lose answers, but it must not lie about them. No
 * stream may end like a whole answer unless it is one, and none may break off without an error
 * while the edge is alive. The test uses only loopback and takes about two minutes.
 */

import { rm } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { JSONWebKeySet } from 'jose';
import { generateQuestions } from '#lab/world/generate.ts';
import { loadTopics } from '#lab/world/load-topics.ts';
import { createRandom } from '#training/data/random.ts';
import { KEYS, newDataDir, startStack } from '../test/running-stack.ts';
import { damageStack } from './chaos-damage.ts';
import { askForStream, type StreamEnd, type StreamOutcome } from './chaos-stream.ts';

const STREAMS = 200;
/** Streams open at once. */
const MOST_OPEN = 40;
/** Requests come in bursts, so that each kill or pause hits many of them and some have to wait. */
const BURST = 20;
const SPREAD_MS = 75_000;
/** The time for all streams together. A stream that is still open after that counts as lost. */
const DEADLINE_MS = 150_000;
const RECOVERY_MS = 60_000;

const ENDS: readonly StreamEnd[] = ['complete', 'http error', 'error event', 'no connection', 'lost', 'false end'];

export async function benchChaosStack({ seed: given }: { seed: number }): Promise<Record<string, number>> {
  const seed = given === 0 ? 1 + Math.floor(Math.random() * 1e6) : given;
  console.log(`\nchaos-stack: ${STREAMS} streams, seed ${seed} (--seed repeats the damage)`);
  const random = createRandom(`bench/chaos/${seed}`).next;
  const dataDir = await newDataDir();
  const stack = await startStack({ dataDir, env: { PLIMSOLL_BACKENDS: '2' } });
  const over = new AbortController();
  try {
    // The cast is safe: the answer comes from our own edge.
    const jwks = (await (await fetch(`${stack.url}/.well-known/jwks.json`)).json()) as JSONWebKeySet;
    const questions = generateQuestions({ split: 'heldout', seed, perAsk: 1, topics: loadTopics() });
    const requests = Array.from({ length: STREAMS }, (_, i) => ({
      key: KEYS[i % KEYS.length]!,
      jwks,
      body: {
        model: stack.model,
        messages: questions[Math.floor(random() * questions.length)]!.messages,
        seed: i,
        max_tokens: 20 + Math.floor(random() * 130),
      },
    }));
    const edgeAtMs = 20_000 + random() * 40_000;
    const damage = damageStack(stack, { random, edgeAtMs, over: over.signal });
    damage.catch(() => undefined);
    const outcomes = await streamAll(stack.url, requests);
    over.abort();
    const { edgeAway } = await damage;
    const recovered = await answersAgain(stack.url, requests[0]!);

    // We allow a little more time than the edge was away, because a client notices a cut connection
    // late, and even later on a busy machine.
    const wasEdges = ({ endedAt }: StreamOutcome) =>
      edgeAway.some(({ from, to }) => endedAt > from - 1000 && endedAt < to + 2000);
    const count = (isOne: (outcome: StreamOutcome) => boolean) => outcomes.filter(isOne).length;
    const lost = outcomes.filter(({ end }) => end === 'lost' || end === 'no connection');
    const broken = [
      ...lost.filter((outcome) => !wasEdges(outcome)),
      ...outcomes.filter(({ end }) => end === 'false end'),
    ];
    for (const end of ENDS) console.log(`  ${String(count((outcome) => outcome.end === end)).padStart(6)}  ${end}`);
    for (const [detail, times] of tally(outcomes)) console.log(`          ${times} x ${detail}`);
    console.log(`  ${String(lost.filter(wasEdges).length).padStart(6)}  of the lost while the edge itself was away`);
    console.log(`          an answer again after it all: ${recovered ? 'yes' : 'no'}`);
    if (outcomes.length < STREAMS)
      throw new Error(`chaos-stack: only ${outcomes.length} streams were asked for in time`);
    if (broken.length > 0 || !recovered) {
      for (const { end, detail } of broken) console.error(`  MUST NOT BE: ${end}: ${detail}`);
      throw new Error(`chaos-stack: ${broken.length} streams ended as none may (seed ${seed})`);
    }
    return {
      'chaos-stack: streams complete': count(({ end }) => end === 'complete'),
      'chaos-stack: streams that ended with an error': count(
        ({ end }) => end === 'http error' || end === 'error event',
      ),
      'chaos-stack: streams lost with the edge': lost.length,
    };
  } finally {
    over.abort();
    await stack.stop();
    await rm(dataDir, { recursive: true, force: true });
  }
}

type Asked = Parameters<typeof askForStream>[1];

/** Sends the requests in bursts over `SPREAD_MS`, with never more than `MOST_OPEN` open. */
async function streamAll(url: string, requests: readonly Asked[]): Promise<StreamOutcome[]> {
  const beganAt = Date.now();
  const deadline = AbortSignal.timeout(DEADLINE_MS);
  const waiting = requests.entries();
  const outcomes: StreamOutcome[] = [];
  const client = async () => {
    for (const [i, request] of waiting) {
      await sleep(Math.max(0, beganAt + ((i - (i % BURST)) / requests.length) * SPREAD_MS - Date.now()));
      if (deadline.aborted) return;
      outcomes.push(await askForStream(url, { ...request, deadline }));
    }
  };
  await Promise.all(Array.from({ length: MOST_OPEN }, client));
  return outcomes;
}

async function answersAgain(url: string, request: Asked): Promise<boolean> {
  for (const until = Date.now() + RECOVERY_MS; Date.now() < until; await sleep(1000)) {
    if ((await askForStream(url, request)).end === 'complete') return true;
  }
  return false;
}

function tally(outcomes: readonly StreamOutcome[]): [string, number][] {
  const times = new Map<string, number>();
  for (const { end, detail } of outcomes) {
    if (detail !== '') times.set(`${end}: ${detail}`, (times.get(`${end}: ${detail}`) ?? 0) + 1);
  }
  return [...times].sort(([, a], [, b]) => b - a);
}
