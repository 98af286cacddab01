/**
 * Where answers are kept: in this isolate, and behind it in the Cache API, which all isolates of a
 * data centre share. Neither decides how long: each answer says itself when it was kept.
 *
 * A cache that fails or is not there costs speed and nothing else. On `workers.dev` the Cache API
 * keeps nothing, and then each isolate is on its own.
 */
import type { JSONWebKeySet } from 'jose';
import { LRUCache } from 'lru-cache';
import { logWarning } from '../request/log.ts';
import { within } from '../request/within.ts';
import { type AskedOf, type KeptAnswer, readKept, writeKept } from './kept-answer.ts';

/** The longest that an answer is given again. A policy, a key or a bundle that changes ends it. */
export const KEEP_MS = 60 * 60 * 1000;
/** About 60,000 tokens of text, or 1,500 with what is told of each. */
const MOST_ANSWER_CHARS = 256 * 1024;
/** Of all answers in an isolate, at up to 2 bytes each. It has 128 MB for everything. */
const MOST_CHARS = 8 * 1024 * 1024;
/** A cache that takes longer than this to look is slower than many a backend. */
const LOOK_MS = 250;
/** Nobody waits for it. */
const PUT_MS = 10_000;
const NAME = 'https://answers.plimsoll.invalid/';

/** The part of the Cache API that we use. */
export type SharedCache = {
  match(url: string): Promise<Pick<Response, 'text'> | undefined>;
  put(url: string, response: Response): Promise<void>;
};

export type KeptAnswers = {
  get(
    key: string,
    about: { asked: AskedOf; jwks: JSONWebKeySet; maxAgeMs: number },
  ): Promise<{ answer: KeptAnswer; ageMs: number } | null>;
  put(answer: KeptAnswer): Promise<void>;
};

export function createKeptAnswers({
  openCache,
  now = Date.now,
  lookMs = LOOK_MS,
}: {
  /** null: there is no shared cache. */
  openCache: (() => Promise<SharedCache>) | null;
  now?: () => number;
  /** How long the shared cache is waited for. */
  lookMs?: number;
}): KeptAnswers {
  const near = new LRUCache<string, { answer: KeptAnswer; chars: number }>({
    maxSize: MOST_CHARS,
    sizeCalculation: ({ chars }) => chars,
  });
  // Some of the network's clocks are not the same.
  const ageOf = ({ keptAtMs }: KeptAnswer) => Math.max(0, now() - keptAtMs);

  return {
    async get(key, { asked, jwks, maxAgeMs }) {
      const answer = near.get(key)?.answer ?? (await getShared(key, { asked, jwks }));
      if (answer === null) return null;
      const ageMs = ageOf(answer);
      if (ageMs >= KEEP_MS) near.delete(key);
      return ageMs >= KEEP_MS || ageMs > maxAgeMs ? null : { answer, ageMs };
    },
    async put(answer) {
      const text = writeKept(answer);
      if (text.length > MOST_ANSWER_CHARS) return;
      near.set(answer.key, { answer, chars: text.length });
      const headers = { 'cache-control': `max-age=${KEEP_MS / 1000}`, 'content-type': 'application/json' };
      await shared('put', PUT_MS, (cache) => cache.put(NAME + answer.key, new Response(text, { headers })));
    },
  };

  async function getShared(key: string, about: { asked: AskedOf; jwks: JSONWebKeySet }): Promise<KeptAnswer | null> {
    const text = await shared('match', lookMs, async (cache) => (await cache.match(NAME + key))?.text());
    const answer = text === undefined ? null : await readKept(text, { key, ...about });
    if (answer !== null && ageOf(answer) < KEEP_MS) near.set(key, { answer, chars: text!.length });
    return answer;
  }

  async function shared<T>(call: string, ms: number, use: (cache: SharedCache) => Promise<T>): Promise<T | undefined> {
    if (openCache === null) return undefined;
    const failed = (cause: unknown) => {
      logWarning({ event: 'answer-cache-failed', call, cause });
      return undefined;
    };
    return within(ms, openCache().then(use).catch(failed), () => failed(`nothing for ${ms} ms`));
  }
}
