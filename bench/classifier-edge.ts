/**
 * How long do other clients wait while the edge classifies the slowest texts there are? We time
 * `GET /healthz` of the real Worker in workerd, first alone and then alongside several clients.
 * These send as much text as a moderation request may hold, of the kinds that are slowest to read.
 *
 * Written down before measuring: the median wait is below 50 ms, and no wait is above 250 ms.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { MAX_MODERATION_CHARS, MAX_MODERATION_TEXTS, MAX_READ_CHARS } from '#shared/api/text-limits.ts';
import { HARD_TEXTS } from '#shared/classify/testing/hard-texts.ts';
import { seedDemoTenants, sha256 } from '#workers/local/seed-demo-tenants.ts';
import { startEdge } from '#workers/local/start-edge.ts';
import { createReceiptKey } from '#workers/testing/receipt-key.ts';
import { startScriptedBackend } from '#workers/testing/scripted-backend.ts';

const OPERATOR_KEY = 'bench-operator';
const DIRECTIVE_SECRET = 'a secret that only the bench has, 32 bytes long';
const CLIENTS = 4;
const MEASURED_MS = 6_000;
/** The slowest kinds in hard-texts.ts. */
const KINDS = ['any signs', 'leetspeak in long words', 'short words without a full stop', 'scripts mixed'];

export async function benchClassifierEdge(): Promise<Record<string, number>> {
  const dataDir = await mkdtemp(path.join(tmpdir(), 'plimsoll-bench-'));
  const receiptKey = await createReceiptKey('bench-key');
  const backend = await startScriptedBackend({ name: 'backend', directiveSecret: DIRECTIVE_SECRET, receiptKey });
  const edge = await startEdge({
    port: 0,
    dataDir,
    backends: [backend.url],
    directiveSecret: DIRECTIVE_SECRET,
    receiptJwks: receiptKey.jwks,
    operatorKeySha256: sha256(OPERATOR_KEY),
  });
  try {
    await seedDemoTenants(edge.url, OPERATOR_KEY);
    const hard = HARD_TEXTS.filter(([name]) => KINDS.includes(name)).map(([, text]) => text);
    const requests = hard.flatMap((text) => {
      const length = Math.floor(MAX_MODERATION_CHARS / MAX_MODERATION_TEXTS);
      const few = Array.from({ length: MAX_MODERATION_CHARS / MAX_READ_CHARS }, (_, i) =>
        text.slice(i, i + MAX_READ_CHARS),
      );
      const many = Array.from({ length: MAX_MODERATION_TEXTS }, (_, i) => text.slice(i * length, (i + 1) * length));
      return [few, many];
    });
    const idle = await waits(edge.url, 1_500);
    let running = true;
    let answered = 0;
    const clients = Array.from({ length: CLIENTS }, async (_, client) => {
      for (let i = client; running; i++) {
        const response = await fetch(`${edge.url}/v1/moderations`, {
          method: 'POST',
          headers: { 'content-type': 'application/json', authorization: 'Bearer pk-demo-open' },
          body: JSON.stringify({ input: requests[i % requests.length] }),
        });
        if (!response.ok)
          throw new Error(`a moderation failed (${response.status}): ${(await response.text()).slice(0, 200)}`);
        await response.arrayBuffer();
        answered++;
      }
    });
    const hostile = await waits(edge.url, MEASURED_MS);
    running = false;
    await Promise.all(clients);
    console.log(
      `\nGET /healthz in workerd (ms): alone, and beside ${CLIENTS} clients with hard texts (${answered} requests of ${MAX_MODERATION_CHARS} characters)`,
    );
    for (const [name, values] of [
      ['alone', idle],
      ['beside them', hostile],
    ] as const)
      console.log(
        `  ${name.padEnd(12)} p50 ${at(values, 0.5)}  p99 ${at(values, 0.99)}  max ${at(values, 1)}  of ${values.length}`,
      );
    return {
      'healthz beside hostile texts, p50 (ms)': Number(at(hostile, 0.5)),
      'healthz beside hostile texts, max (ms)': Number(at(hostile, 1)),
    };
  } finally {
    await edge.dispose();
    await backend.close();
    await rm(dataDir, { recursive: true, force: true });
  }
}

async function waits(url: string, forMs: number): Promise<number[]> {
  const values: number[] = [];
  for (const endAt = performance.now() + forMs; performance.now() < endAt; ) {
    const startedAt = performance.now();
    await (await fetch(`${url}/healthz`)).arrayBuffer();
    values.push(performance.now() - startedAt);
    await sleep(20);
  }
  return values.toSorted((a, b) => a - b);
}

function at(sorted: readonly number[], share: number): string {
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!.toFixed(1);
}
