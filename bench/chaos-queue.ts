/**
 * Overloads one backend. What happens to the requests it accepted, and which tenants do they belong
 * to? This uses the real server on the real engine, with the edge's kind of requests and the edge's
 * time limits.
 *
 * Written down before measuring: no accepted request is lost, however long the queue is. Two
 * tenants that both always have requests waiting get about half of the tokens each, no matter which
 * of them has more clients.
 */
import { setTimeout as sleep } from 'node:timers/promises';
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
import type { GenerateBody } from '#shared/protocol/generate.ts';

const CROWD = 80;
const CROWD_PROMPT = 485;
/** Nine of ten clients belong to one tenant. */
const CLIENTS = { crowd: 108, other: 12 };
const CONTEST_MS = 45_000;
/** The edge's limits: for the first frame, and for the time between two frames of an answer. */
const START_MS = 30_000;
const FRAME_MS = 60_000;

type Outcome = {
  end: 'answered' | 'refused' | 'broken' | 'lost';
  /** Tokens of the prompt and the answer together. */
  tokens: number;
  waitedMs: number;
  /** The longest silence after `start`. */
  silenceMs: number;
  retryAfterMs: number;
};

export async function benchQueue({ bundle }: { bundle: string }): Promise<Record<string, number>> {
  const { renderChat, id } = await loadBundleHead(bundle);
  const { receiptPrivateJwk } = await receiptKeys();
  const backend = await startBackend({
    bundle,
    port: 0,
    directiveSecret: SECRET,
    drawSecret: DRAW_SECRET,
    receiptPrivateJwk,
    graceMs: 0,
  });
  const prompt = (tokens: number): GenerateBody['messages'] => {
    let content = 'tea';
    const messages = () => [{ role: 'user' as const, content }];
    while (renderChat(messages()).length < tokens) content += ' and tea';
    return messages();
  };
  const body = (tokens: number) => generateRequest({ model: id, messages: prompt(tokens), max_tokens: 20 });
  try {
    const crowd = body(CROWD_PROMPT);
    const outcomes = await Promise.all(Array.from({ length: CROWD }, () => ask(backend.url, crowd, 'one')));
    const count = (end: Outcome['end']) => outcomes.filter((outcome) => outcome.end === end).length;
    const most = (of: 'waitedMs' | 'silenceMs') => Math.max(...outcomes.map((outcome) => outcome[of])) / 1000;
    console.log(`\n${CROWD} prompts of ${CROWD_PROMPT} tokens at once`);
    for (const end of ['answered', 'refused', 'broken', 'lost'] as const) console.log(`  ${count(end)} ${end}`);
    console.log(
      `  ${most('waitedMs').toFixed(1)} s longest wait for start, ${most('silenceMs').toFixed(1)} s silence after it`,
    );

    const until = Date.now() + CONTEST_MS;
    const contest = body(60);
    const sums = { crowd: { answers: 0, tokens: 0, refused: 0 }, other: { answers: 0, tokens: 0, refused: 0 } };
    const client = async (tenant: keyof typeof CLIENTS) => {
      while (Date.now() < until) {
        const { end, tokens, retryAfterMs } = await ask(backend.url, contest, tenant);
        if (end === 'refused') {
          sums[tenant].refused++;
          await sleep(Math.min(retryAfterMs, Math.max(0, until - Date.now())));
        } else if (Date.now() < until) {
          sums[tenant].answers++;
          sums[tenant].tokens += tokens;
        }
      }
    };
    const clients = (tenant: keyof typeof CLIENTS) => Array.from({ length: CLIENTS[tenant] }, () => client(tenant));
    await Promise.all([...clients('crowd'), ...clients('other')]);
    console.log(`\ntwo tenants for ${CONTEST_MS / 1000} s, with ${CLIENTS.crowd} and ${CLIENTS.other} clients`);
    for (const [tenant, { answers, tokens, refused }] of Object.entries(sums)) {
      console.log(`  ${tenant}: ${answers} answers, ${tokens} tokens, ${refused} refusals`);
    }
    return {
      'queue: accepted requests lost, of 80': count('lost') + count('broken'),
      'queue: share of the tenant with a tenth of the clients':
        sums.other.tokens / (sums.other.tokens + sums.crowd.tokens),
    };
  } finally {
    await backend.close();
  }
}

/** Sends one request. Gives up after the same silence as the edge would. */
async function ask(url: string, body: GenerateBody, tenant: string): Promise<Outcome> {
  const abort = new AbortController();
  const begunAt = Date.now();
  let heardAt = begunAt;
  let limitMs = START_MS;
  const outcome: Outcome = { end: 'lost', tokens: 0, waitedMs: 0, silenceMs: 0, retryAfterMs: 0 };
  const watchdog = setInterval(() => Date.now() - heardAt > limitMs && abort.abort(), 250);
  try {
    const response = await call(url, body, { signal: abort.signal, edit: (directive) => ({ ...directive, tenant }) });
    if (!response.ok) {
      await response.body?.cancel();
      return { ...outcome, end: 'refused', retryAfterMs: 1000 * Number(response.headers.get('retry-after') ?? 1) };
    }
    for await (const frame of framesOf(response)) {
      const now = Date.now();
      if (limitMs === FRAME_MS) outcome.silenceMs = Math.max(outcome.silenceMs, now - heardAt);
      heardAt = now;
      if (frame.type === 'start') {
        outcome.waitedMs = now - begunAt;
        limitMs = FRAME_MS;
      }
      if (frame.type === 'end') Object.assign(outcome, { end: 'answered', tokens: frame.usage.total_tokens });
      if (frame.type === 'error') outcome.end = 'broken';
    }
  } catch (thrown) {
    if (!abort.signal.aborted) throw thrown;
    outcome.silenceMs = Math.max(outcome.silenceMs, Date.now() - heardAt);
  } finally {
    clearInterval(watchdog);
  }
  return outcome;
}
