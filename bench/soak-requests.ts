/**
 * The requests of the soak test: of all lengths, from several tenants, under several lines. Some
 * clients leave in the middle, and some requests must be refused.
 */
import type { BundleHead } from '#gpu-backend/model/load-bundle.ts';
import { type CallOptions, call, framesOf, generateRequest } from '#gpu-backend/server/testing/backend-client.ts';
import type { Line } from '#shared/line/line.ts';
import { createRandom, type Random } from '#training/data/random.ts';

/** How a request ended: as it should, or otherwise, with what came instead. */
export type SoakOutcome = 'answered' | 'cancelled' | 'refused' | { unexpected: string };

const TENANTS = ['acme', 'globex', 'initech', 'umbrella', 'hooli'];
const LINES: readonly Partial<Line>[] = [
  {},
  { floor: 0.3, budget: 20 },
  { floor: 0.9, budget: 2, rule: 'arithmetic' },
  { action: 'safety_only' },
  { budget: 0 },
  { mode: 'layers', floor: 0.3, budget: 20 },
];
const CANCELLED = 0.1;
const REFUSED = 0.05;
const MOST_TOKENS = 64;

/** Sends request number `i`. The same number is the same request. */
export async function soakRequest(url: string, head: BundleHead, { i, context }: { i: number; context: number }) {
  const random = createRandom(`bench/soak/${i}`);
  const roll = random.next();
  if (roll < REFUSED) return refused(url, head, { random, context });
  const leaving = roll < REFUSED + CANCELLED;
  return answered(url, head, { random, context, leaveAfter: leaving ? random.int(0, 20) : null });
}

async function answered(
  url: string,
  { id }: BundleHead,
  { random, context, leaveAfter }: { random: Random; context: number; leaveAfter: number | null },
): Promise<SoakOutcome> {
  const client = new AbortController();
  const request = generateRequest({
    model: id,
    // Short ones are as usual as long ones: a word takes two tokens or fewer.
    messages: [{ role: 'user', content: words(random, Math.round((context / 5) ** random.next())) }],
    max_tokens: random.int(1, MOST_TOKENS),
    seed: random.int(0, 1e6),
    temperature: random.pick([0, 0.7, 1]),
    top_p: random.pick([0.9, 1]),
  });
  try {
    const response = await call(url, request, { ...tenantOf(random), signal: client.signal });
    if (!response.ok) return { unexpected: `status ${response.status}: ${await response.text()}` };
    let [tokens, last] = [0, ''];
    for await (const frame of framesOf(response)) {
      last = frame.type;
      if (frame.type === 'token') tokens++;
      if (leaveAfter !== null && tokens >= leaveAfter) {
        client.abort();
        return 'cancelled';
      }
    }
    return last === 'end' ? 'answered' : { unexpected: `an answer that ends with ${last}` };
  } catch (thrown) {
    if (client.signal.aborted) return 'cancelled';
    return { unexpected: String(thrown) };
  }
}

async function refused(
  url: string,
  { id }: BundleHead,
  { random, context }: { random: Random; context: number },
): Promise<SoakOutcome> {
  const request = generateRequest({ model: id, messages: [{ role: 'user', content: words(random, 5) }] });
  const [wanted, sent] = random.pick<[number, () => Promise<Response>]>([
    [400, () => call(url, { ...request, messages: [{ role: 'user', content: words(random, 2 * context) }] })],
    [404, () => call(url, { ...request, model: 'another' })],
    [401, () => call(url, request, { secret: 'not the secret that the backend was given' })],
    [400, () => call(url, '{"model": 1}')],
  ]);
  const response = await sent();
  await response.body?.cancel();
  return response.status === wanted ? 'refused' : { unexpected: `status ${response.status}, wanted ${wanted}` };
}

function tenantOf(random: Random): Pick<CallOptions, 'line' | 'edit'> {
  const tenant = random.pick(TENANTS);
  return { line: random.pick(LINES), edit: (directive) => ({ ...directive, tenant }) };
}

function words(random: Random, count: number): string {
  const some = ['tea', 'bread', 'tiles', 'river', 'garden', 'winter', 'the', 'and', 'clean', 'old'];
  return Array.from({ length: Math.max(1, count) }, () => random.pick(some)).join(' ');
}
